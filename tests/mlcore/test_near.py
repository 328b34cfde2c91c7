"""Near-duplicates: copies that a test makes are found, other photos are not."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image, ImageEnhance

from mlcore import near
from mlcore.config import Handcrafted, Preprocess
from mlcore.manifest import as_manifest
from mlcore.model import ready_model
from mlcore.near import Pairs, agreement, confirmed, near_pairs
from mlcore.preprocess import Preprocessor
from tests.mlcore.photos import patches

Change = Callable[[Image.Image], Image.Image]
COPIES: dict[str, tuple[Change, str, int]] = {
    "re-encoded as JPEG": (lambda photo: photo, "JPEG", 60),
    "re-encoded as WebP": (lambda photo: photo, "WEBP", 60),
    "resized": (lambda photo: photo.resize((60, 80)), "JPEG", 90),
    "cropped": (lambda photo: photo.crop((6, 8, 114, 152)), "JPEG", 90),
    "cropped at one corner": (lambda photo: photo.crop((6, 8, 120, 160)), "JPEG", 90),
    "brighter": (lambda photo: ImageEnhance.Brightness(photo).enhance(1.05), "JPEG", 90),
}


def encoded(photo: Image.Image, form: str = "JPEG", quality: int = 90) -> bytes:
    buffer = io.BytesIO()
    photo.save(buffer, form, quality=quality)
    return buffer.getvalue()


def squares_of(files: list[bytes]) -> torch.Tensor:
    """`(B, 96, 96, 3)` uint8."""
    read = Preprocessor(Preprocess()).read
    return torch.stack([read(file) for file in files]).permute(0, 2, 3, 1)


def table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """A manifest of rows that are validation, query and gallery unless they say otherwise."""
    empty = dict.fromkeys(("category", "sequence"), "") | dict.fromkeys(("x_1", "y_1", "x_2", "y_2"), pd.NA)
    usual = {"split": "validation", "is_query": True, "is_gallery": True, **empty}
    names = [{"sample_id": n, "image_key": f"{n}", "path": f"{n}", "sha256": f"{n}", "label": f"{n}"} for n in range(9)]
    return as_manifest(pd.DataFrame([name | usual | row for name, row in zip(names, rows, strict=False)]))


def places(pairs: Pairs) -> list[tuple[int, int]]:
    return list(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))


TRAIN = {"split": "train", "is_query": False, "is_gallery": False}
QUERY, GALLERY = {"is_gallery": False}, {"is_query": False}
BOX = {"x_1": 0, "y_1": 0, "x_2": 5, "y_2": 5}


@pytest.mark.parametrize("kind", COPIES)
def test_a_copy_is_found_and_other_photos_are_not(kind: str) -> None:
    change, form, quality = COPIES[kind]
    photos = [patches(seed) for seed in range(6)]
    files = [*map(encoded, photos), encoded(change(photos[2]), form, quality)]
    manifest = table([TRAIN] * 6 + [{}])
    squares = squares_of(files)
    embeddings = ready_model(Handcrafted(), Preprocess()).embed_batch(squares.permute(0, 3, 1, 2))
    found = confirmed(near_pairs(embeddings, manifest), lambda rows: squares[rows])
    assert places(found) == [(2, 6)]
    assert found.similarity[0] > 0.98
    assert agreement(squares[[6] * 5].numpy(), squares[[0, 1, 3, 4, 5]].numpy()).max() < 0.8


def test_the_second_step_tells_photos_apart_that_the_first_does_not() -> None:
    squares = squares_of([encoded(patches(0)), encoded(patches(0)), encoded(patches(1))])
    pairs = Pairs(np.array([0, 0]), np.array([1, 2]), np.array([1, 1], np.float32))
    seen: list[tuple[int, int]] = []
    found = confirmed(pairs, lambda rows: squares[rows], on_progress=lambda *done: seen.append(done))
    assert places(found) == [(0, 1)]
    assert seen == [(2, 2)]


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([TRAIN, {}], True),
        ([{}, TRAIN], True),
        ([TRAIN, TRAIN], False),
        ([{}, {}], True),
        ([QUERY, GALLERY], True),
        ([QUERY, QUERY], False),
        ([GALLERY, GALLERY], False),
        ([{"sequence": "a"}, {"sequence": "a"}], False),
        ([{"sequence": "a"}, {"sequence": "b"}], True),
        ([TRAIN | {"sequence": "a"}, {"sequence": "a"}], True),  # what a model trains on, no sequence undoes
        ([{"sha256": "a"}, {"sha256": "a"}], False),
        ([{"sha256": "a"} | BOX, {"sha256": "a"}], True),
        ([TRAIN | {"sha256": "a"}, {"sha256": "a"}], False),
        ([TRAIN | {"sha256": "a"} | BOX, {"sha256": "a"}], False),  # the check of copies tells of it
        ([TRAIN | {"sha256": ""}, {"sha256": ""}], True),
    ],
)
def test_which_pairs_are_told(rows: list[dict[str, Any]], told: bool) -> None:
    found = near_pairs(np.eye(1, 4).repeat(2, axis=0), table(rows))
    assert places(found) == ([(0, 1)] if told else [])


def test_pairs_are_as_naive_loops_find_them() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(9, 3)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    kinds = [TRAIN, TRAIN, QUERY, GALLERY, {}, {}, TRAIN, QUERY, GALLERY]
    expected = []
    for i, one in enumerate(kinds):
        for j, other in list(enumerate(kinds))[i + 1 :]:
            alone = one == other and one != {}  # both train, both search, or both are searched
            if not alone and vectors[i] @ vectors[j] >= 0.2:
                expected.append((i, j))
    found = near_pairs(vectors, table(kinds), 0.2)
    assert sorted(places(found)) == expected
    assert found.similarity == pytest.approx(np.sort((vectors[found.first] * vectors[found.second]).sum(1))[::-1])


def test_the_threshold_is_met_by_what_equals_it() -> None:
    vectors = np.array([[1, 0], [0.8, 0.6], [0.6, 0.8]], dtype=np.float32)
    manifest = table([TRAIN, {}, {"sequence": "a"}])
    first = float(near_pairs(vectors, manifest, 0.5).similarity.min())
    assert places(near_pairs(vectors, manifest, first)) == [(1, 2), (0, 1), (0, 2)]
    assert places(near_pairs(vectors, manifest, np.nextafter(first, 1))) == [(1, 2), (0, 1)]


def test_without_a_pair_nothing_is_told() -> None:
    for rows in ([TRAIN], [{}], [TRAIN, TRAIN]):
        found = near_pairs(np.eye(len(rows), 4), table(rows))
        assert places(confirmed(found, lambda rows: pytest.fail("nothing to read"))) == []


def test_work_on_a_burst_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nine equal rows: of each of the validation rows as many as are looked at."""
    monkeypatch.setattr(near, "NEAREST", 2)
    found = near_pairs(np.eye(1, 4).repeat(9, axis=0), table([TRAIN] * 4 + [QUERY] * 5))
    assert places(found) == [(0, row) for row in range(4, 9)] + [(1, row) for row in range(4, 9)]


def test_agreement_is_that_of_naive_loops() -> None:
    """The best correlation of one photo whole and a window of the other, drawn by Pillow."""
    squares = squares_of([encoded(patches(seed)) for seed in range(2)])
    greys = [Image.fromarray(square.float().mean(2).numpy()) for square in squares]

    def thumbnail(grey: Image.Image, box: tuple[float, ...]) -> list[float]:
        return np.asarray(grey.resize((16, 16), Image.Resampling.BOX, box=box)).ravel().tolist()

    whole, cuts = (0, 0, 96, 96), [96 * cut for cut in (0, 0.025, 0.05)]
    boxes = [(a, b, 96 - c, 96 - d) for a in cuts for b in cuts for c in cuts for d in cuts]
    sides = [(thumbnail(greys[i], whole), greys[1 - i]) for i in (0, 1)]
    expected = max(np.corrcoef(one, thumbnail(other, box))[0, 1] for one, other in sides for box in boxes)
    found = agreement(squares[:1].numpy(), squares[1:].numpy())
    assert found[0] == pytest.approx(expected, abs=0.02)


def test_photos_of_one_grey_agree_with_nothing() -> None:
    flat = np.full((1, 96, 96, 3), 200, dtype=np.uint8)
    for other in (flat, squares_of([encoded(patches(0))]).numpy()):
        assert agreement(flat, other) == pytest.approx(0, abs=1e-4)
