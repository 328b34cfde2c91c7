"""Preprocessing, augmentation and reading: the same item whoever reads it, cut to its box first."""

import io

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from mlcore.config import Augment, Preprocess
from mlcore.data import CACHE_BYTES, Photos, TrainingPhotos, training_batches
from mlcore.preprocess import Preprocessor, augment
from tests.mlcore.photos import MemorySource, make_photos


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def two_halves() -> Image.Image:
    image = Image.new("RGB", (80, 40), (255, 0, 0))
    image.paste((0, 0, 255), (40, 0, 80, 40))
    return image


def test_the_box_is_cropped_before_resizing() -> None:
    manifest, _ = make_photos(train_labels=1, validation_labels=0, samples=2)
    manifest.loc[1, ["x_1", "y_1", "x_2", "y_2"]] = [40, 0, 80, 40]  # the other row has no box
    source = MemorySource(dict.fromkeys(manifest["image_key"], png(two_halves())))
    photos = Photos(manifest, source, Preprocessor(Preprocess(size=16)))
    assert photos[0][:, 8, 2].tolist() == [255, 0, 0]
    assert (photos[1] == torch.tensor([0, 0, 255], dtype=torch.uint8)[:, None, None]).all()


@pytest.mark.parametrize("fit", ["pad", "crop", "stretch"])
@pytest.mark.parametrize("size", [(80, 40), (7, 300), (1, 1), (16, 16)])
def test_any_size_becomes_square(fit: str, size: tuple[int, int]) -> None:
    preprocess = Preprocessor(Preprocess.model_validate({"size": 16, "fit": fit}))
    assert preprocess(Image.new("RGB", size)).shape == (3, 16, 16)


def test_normalised_values_follow_mean_and_deviation() -> None:
    preprocess = Preprocessor(Preprocess(size=16, mean=(0.5, 0.5, 0.5), std=(0.25, 0.5, 1.0)))
    white = preprocess.normalise(preprocess(Image.new("RGB", (20, 20), "white"))[None])
    assert white[0, :, 0, 0].tolist() == pytest.approx([2.0, 1.0, 0.5])


def test_augmentation_follows_from_its_seed_alone() -> None:
    image = Image.effect_noise((60, 40), 90).convert("RGB")
    first, again, other = (np.array(augment(image, Augment(), np.random.default_rng(seed))) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert first.shape != other.shape or not np.array_equal(first, other)


def test_without_augmentation_training_sees_the_preprocessed_photo() -> None:
    manifest, source = make_photos(train_labels=2, validation_labels=0)
    preprocess = Preprocessor(Preprocess(size=16))
    plain = Augment(flip=False, crop_scale_min=1, colour=0)
    photos, training = Photos(manifest, source, preprocess), TrainingPhotos(manifest, source, preprocess, plain)
    difference = (photos[0].float() - training[0, (0, 0, 0)].float()).abs()
    assert difference.mean() < 4  # resized in two steps


def batches(workers: int, first: int = 0) -> list[torch.Tensor]:
    manifest, source = make_photos(train_labels=3, validation_labels=0)
    photos = TrainingPhotos(manifest, source, Preprocessor(Preprocess(size=16)), Augment())
    plan = [[0, 1, 2], [3, 4, 5], [0, 1, 2], [9, 9, 11]]
    return list(training_batches(photos, plan[first:], first_step=first, seed=5, workers=workers))


def test_batches_do_not_depend_on_readers_or_on_where_one_begins() -> None:
    alone = batches(0)
    assert all(torch.equal(a, b) for a, b in zip(alone, batches(2), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(alone[2:], batches(1, first=2), strict=True))
    assert not torch.equal(alone[0], alone[2])  # the same photos, seen anew
    assert not torch.equal(alone[3][0], alone[3][1])  # one photo twice in a batch, each its own way


def test_decoded_photos_are_kept_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    manifest, source = make_photos(train_labels=3, validation_labels=0)
    reads: list[str] = []

    def counted(key: str) -> bytes:
        reads.append(key)
        return source(key)

    photos = TrainingPhotos(manifest, counted, Preprocessor(Preprocess(size=16)), Augment())
    first = [photos[index, (0, 0, index)] for index in range(12)]
    again = [photos[index, (0, 0, index)] for index in range(12)]
    assert len(reads) == 12
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert 0 < photos.cached_bytes <= CACHE_BYTES

    monkeypatch.setattr("mlcore.data.CACHE_BYTES", 3000)
    small = TrainingPhotos(manifest, source, Preprocessor(Preprocess(size=16)), Augment())
    uncached = [small[index, (0, 0, index)] for index in range(12)]
    assert small.cached_bytes <= 3000
    assert all(torch.equal(a, b) for a, b in zip(first, uncached, strict=True))


def test_missing_boxes_of_any_kind_are_whole_photos() -> None:
    manifest, source = make_photos(train_labels=1, validation_labels=0)
    manifest["x_1"] = pd.array([pd.NA] * len(manifest), dtype="Int64")
    assert Photos(manifest, source, Preprocessor(Preprocess(size=16))).boxes == [None] * len(manifest)
