"""Reading: the same batch whoever reads it and wherever one begins; each photo decoded once, kept by its content."""

import io
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest
import torch
from PIL import Image

from mlcore.config import AUGMENTS, Augment, Preprocess
from mlcore.data import Photos, Source, auto_workers, open_cache, prepared, training_batches
from mlcore.errors import InputError
from mlcore.preprocess import Preprocessor
from tests.mlcore.photos import MemorySource, make_photos

PREPROCESS = Preprocessor(Preprocess(size=16))
PLAN = [[0, 1, 2], [3, 4, 5], [0, 1, 2], [9, 9, 11]]


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


class Counted:
    """A source that counts what it is asked for. Threads may ask at once."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.keys: list[str] = []

    def __call__(self, key: str) -> bytes:
        self.keys.append(key)
        return self.source(key)


def squares(manifest: pd.DataFrame, source: Source, rows: list[int], cache_dir: Path | None = None) -> torch.Tensor:
    cache = open_cache(cache_dir, PREPROCESS, pytest.fail)
    with closing(Photos(manifest, source, PREPROCESS, workers=2, cache=cache)) as photos:
        return photos.squares(rows)


def test_the_box_is_cropped_before_resizing() -> None:
    image = Image.new("RGB", (80, 40), (255, 0, 0))
    image.paste((0, 0, 255), (40, 0, 80, 40))
    manifest, _ = make_photos(train_labels=1, validation_labels=0, samples=2)
    manifest.loc[1, ["x_1", "y_1", "x_2", "y_2"]] = [40, 0, 80, 40]  # the other row has no box
    source = MemorySource(dict.fromkeys(manifest["image_key"], png(image)))
    whole, boxed = squares(manifest, source, [0, 1])
    assert whole[8, 2].tolist() == [255, 0, 0]
    assert (boxed == torch.tensor([0, 0, 255], dtype=torch.uint8)).all()


def test_missing_boxes_of_any_kind_are_whole_photos() -> None:
    manifest, source = make_photos(train_labels=1, validation_labels=0)
    manifest["x_1"] = pd.array([pd.NA] * len(manifest), dtype="Int64")
    with closing(Photos(manifest, source, PREPROCESS)) as photos:
        assert photos.boxes == [None] * len(manifest)


def test_rows_come_in_their_order_each_decoded_once(tmp_path: Path) -> None:
    manifest, source = make_photos()
    expected = torch.stack([PREPROCESS.read(source(key)).permute(1, 2, 0) for key in manifest["image_key"]])
    counted = Counted(source)
    rows = [5, 3, 5, 17, 0]
    assert torch.equal(squares(manifest, counted, rows), expected[rows])
    assert len(counted.keys) == 4  # 5 stands there twice
    for _ in range(2):
        assert torch.equal(squares(manifest, counted, rows, tmp_path), expected[rows])
    assert len(counted.keys) == 8  # kept the first time
    assert torch.equal(squares(manifest, counted, [17, 1], tmp_path), expected[[17, 1]])
    assert counted.keys[8:] == [manifest["image_key"][1]]


def test_kept_by_content_not_by_name(tmp_path: Path) -> None:
    manifest, source = make_photos()
    squares(manifest, source, [0, 1], tmp_path)
    renamed = manifest.assign(image_key="moved/" + manifest["image_key"], path="moved")
    counted = Counted(source)
    assert torch.equal(squares(renamed, counted, [1, 0], tmp_path), squares(manifest, source, [1, 0]))
    assert counted.keys == []
    boxed = manifest.copy()
    boxed.loc[0, ["x_1", "y_1", "x_2", "y_2"]] = [0, 0, 20, 20]
    assert not torch.equal(squares(boxed, source, [0], tmp_path), squares(manifest, source, [0]))


def test_bytes_that_the_manifest_does_not_name_are_not_kept(tmp_path: Path) -> None:
    manifest, source = make_photos()
    swapped = MemorySource({**source.photos, "0/0.jpg": source.photos["3/1.jpg"]})
    assert torch.equal(squares(manifest, swapped, [0], tmp_path), squares(manifest, swapped, [0]))
    assert torch.equal(squares(manifest, source, [0], tmp_path), squares(manifest, source, [0]))


def test_a_full_cache_changes_no_pixel(tmp_path: Path) -> None:
    manifest, source = make_photos()
    said: list[str] = []
    cache = open_cache(tmp_path, PREPROCESS, said.append)
    assert cache is not None
    cache.limit_bytes = 5 * cache.record_bytes
    with closing(Photos(manifest, source, PREPROCESS, cache=cache)) as photos:
        for _ in range(2):
            assert torch.equal(photos.squares(range(20)), squares(manifest, source, list(range(20))))
    assert len(said) == 1


@pytest.mark.parametrize("damage", [b"", b"no photo"])
def test_a_photo_that_cannot_be_read_is_named(damage: bytes) -> None:
    manifest, source = make_photos()
    with pytest.raises(InputError, match=r"3/1\.jpg"):
        squares(manifest, MemorySource({**source.photos, "3/1.jpg": damage}), list(range(20)))


def test_a_photo_that_is_gone_is_named(tmp_path: Path) -> None:
    manifest, _ = make_photos()
    with pytest.raises(InputError, match=r"0/0\.jpg"):
        squares(manifest, lambda key: (tmp_path / key).read_bytes(), [0])


def batches(
    source: Source | None = None, first: int = 0, plan: list[list[int]] = PLAN, **options: object
) -> list[torch.Tensor]:
    manifest, drawn = make_photos(train_labels=3, validation_labels=0)
    settings = {"augment": AUGMENTS["strong"], "seed": 5, "preprocess": PREPROCESS, **options}
    source = source or drawn
    return list(training_batches(manifest, plan[first:], source=source, first_step=first, **settings))  # type: ignore[arg-type]


def same(some: list[torch.Tensor], others: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(some, others, strict=True))


def test_batches_do_not_depend_on_readers_on_the_cache_or_on_where_one_begins(tmp_path: Path) -> None:
    alone = batches(workers=1)
    assert [batch.shape for batch in alone] == [(3, 3, 16, 16)] * 4
    assert same(alone, batches(workers=3))
    assert same(alone, batches(cache_dir=tmp_path))  # cold
    assert same(alone, batches(cache_dir=tmp_path))  # warm
    assert same(alone[2:], batches(first=2, cache_dir=tmp_path))
    assert not torch.equal(alone[0], alone[2])  # the same photos, seen anew
    assert not torch.equal(alone[3][0], alone[3][1])  # one photo twice in a batch, each its own way
    assert not torch.equal(alone[0], batches(seed=6)[0])


def test_processes_together_get_the_batch_of_one() -> None:
    parts = [batches(rank=rank, world=2) for rank in range(2)]
    assert same(batches(), [torch.cat(pair) for pair in zip(*parts, strict=True)])


def test_no_epoch_decodes_a_photo_twice(tmp_path: Path) -> None:
    manifest, source = make_photos(train_labels=3, validation_labels=0)
    counted = Counted(source)
    batches(counted, cache_dir=tmp_path)
    assert sorted(counted.keys) == sorted(manifest["image_key"][[0, 1, 2, 3, 4, 5, 9, 11]])
    batches(counted, cache_dir=tmp_path)
    assert len(counted.keys) == 8


def test_without_augmentation_training_sees_the_preprocessed_photo() -> None:
    manifest, source = make_photos(train_labels=3, validation_labels=0)
    (batch,) = batches(plan=[[0, 7]], augment=AUGMENTS["none"])
    expected = torch.stack([PREPROCESS.read(source(manifest["image_key"][row])) for row in (0, 7)])
    assert torch.allclose(batch, PREPROCESS.normalise(expected), atol=1e-4)


def test_an_abandoned_training_leaves_no_threads() -> None:
    before = threading.active_count()
    manifest, source = make_photos(train_labels=3, validation_labels=0)
    reader = training_batches(
        manifest, PLAN, source=source, preprocess=PREPROCESS, augment=Augment(), first_step=0, seed=0, workers=3
    )
    next(reader)
    assert threading.active_count() > before
    reader.close()
    assert threading.active_count() == before


@pytest.mark.parametrize("count", [0, 1, 3])
def test_prepared_items_come_in_order_and_so_does_a_fault(count: int) -> None:
    def items() -> Iterator[int]:
        yield from range(5)
        raise ZeroDivisionError

    seen: list[int] = []
    with pytest.raises(ZeroDivisionError):
        seen.extend(prepared(items(), count))
    assert seen == [0, 1, 2, 3, 4]
    assert list(prepared(iter(range(7)), count)) == list(range(7))
    assert list(prepared(iter(()), count)) == []


def test_items_are_prepared_while_others_are_used() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for number in range(9):
            made.append(number)
            yield number

    with closing(prepared(items(), 2)) as ahead:
        assert next(ahead) == 0
        deadline = time.monotonic() + 10
        while len(made) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert made == [0, 1, 2]


def test_threads_asked_for_are_given() -> None:
    assert auto_workers(5) == 5
    assert 1 <= auto_workers(0) <= 16
