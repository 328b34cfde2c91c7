"""Market-1501: names of files, junk and distractors, and the paper's exclusion by camera."""

from pathlib import Path

import numpy as np
import pytest

from mlcore.errors import InputError
from mlcore.evaluate import evaluate
from mlcore.layouts import Counts, convert
from mlcore.manifest import manifest_from_table
from mlcore.matches import Gallery, manifest_rows
from tests.mlcore.layouts.folders import make_market, photo, rows


def test_every_row(tmp_path: Path) -> None:
    converted = convert("market", make_market(tmp_path, labels=2))
    train, query, gallery = ("train", "", ""), ("validation", "True", "False"), ("validation", "False", "True")
    assert rows(converted, "label", "path", "split", "is_query", "is_gallery", "sequence") == [
        ("0001", "bounding_box_train/0001_c1s1_000011_00.jpg", *train, "0001_c1"),
        ("0001", "bounding_box_train/0001_c2s1_000021_00.jpg", *train, "0001_c2"),
        ("0002", "query/0002_c1s1_000011_00.jpg", *query, "0002_c1"),
        ("0002", "query/0002_c2s1_000021_00.jpg", *query, "0002_c2"),
        ("0000", "bounding_box_test/0000_c1s1_000001_01.jpg", *gallery, ""),
        ("0002", "bounding_box_test/0002_c1s1_000011_01.jpg", *gallery, "0002_c1"),
        ("0002", "bounding_box_test/0002_c2s1_000021_01.jpg", *gallery, "0002_c2"),
    ]
    assert converted.counts == Counts(7, 3, 0, 2, 1, 5, 2, 2, 3)
    assert "Left out: 1 junk photos (-1). In the gallery alone: 1 distractors (label 0000)." in converted.notes


def test_the_exclusion_is_exactly_the_papers(tmp_path: Path) -> None:
    """No neighbour: the same label by the same camera; all else is, distractors by any camera too."""
    make_market(tmp_path, labels=8, cameras=3)
    photo(tmp_path, "bounding_box_test/0000_c2s1_000003_01.jpg", 92)
    manifest = manifest_from_table(convert("market", tmp_path).table, tmp_path)
    identities = manifest_rows(manifest)
    is_query, is_gallery = (manifest[name].to_numpy(bool) for name in ("is_query", "is_gallery"))
    told = manifest["path"].str.extract(r"/(?P<label>\d+)_c(?P<camera>\d)")
    queries, gallery = told[is_query], told[is_gallery]
    expected = {
        (q, g)
        for q, query in enumerate(queries.itertuples())
        for g, other in enumerate(gallery.itertuples())
        if query.label == other.label and query.camera == other.camera
    }
    found = Gallery(identities.take(is_gallery)).excluded(identities.take(is_query))
    assert set(zip(*(part.tolist() for part in found), strict=True)) == expected
    assert len(expected) == 12


def test_a_photo_by_the_own_camera_is_no_hit(tmp_path: Path) -> None:
    """Embeddings that know the camera better than the label: the own camera's photo is nearest, and does not count."""
    make_market(tmp_path, labels=4)
    manifest = manifest_from_table(convert("market", tmp_path).table, tmp_path)
    validation = manifest[manifest["split"] == "validation"].reset_index(drop=True)
    told = validation["path"].str.extract(r"/(\d+)_c(\d)").astype(int).to_numpy()
    angles = np.array([0.0 if label == 0 else camera + label / 100 for label, camera in told])
    embeddings = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    report = evaluate(embeddings, validation)
    assert report.counts == {"queries": 4, "gallery": 5, "queries_without_match": 0}
    # Without the exclusion each query's own camera gives the first hit, and this would be 1.
    assert report.overall["cmc@1"] == 0


def test_names_that_tell_nothing_are_listed(tmp_path: Path) -> None:
    make_market(tmp_path)
    photo(tmp_path, "query/holiday.jpg")
    photo(tmp_path, "query/0000_c1s1_000001_01.jpg")
    photo(tmp_path, "bounding_box_train/12_c1s1_000001_01.jpg")
    photo(tmp_path, "bounding_box_train/-1_c3s1_000001_01.jpg.jpg")  # junk, and a name as some of the archive's are
    with pytest.raises(InputError) as caught:
        convert("market", tmp_path)
    assert caught.value.problems == [
        "bounding_box_train/12_c1s1_000001_01.jpg is not named LABEL_cCAMERAsSEQUENCE_FRAME_BOX.jpg.",
        "query/0000_c1s1_000001_01.jpg: the label 0000 is for distractors in bounding_box_test.",
        "query/holiday.jpg is not named LABEL_cCAMERAsSEQUENCE_FRAME_BOX.jpg.",
    ]


def test_missing_and_empty_folders_are_named(tmp_path: Path) -> None:
    make_market(tmp_path / "whole")
    (tmp_path / "query").mkdir()
    with pytest.raises(InputError) as caught:
        convert("market", tmp_path)
    assert [problem.split(" is not")[0] for problem in caught.value.problems] == [
        "bounding_box_train",
        "bounding_box_test",
    ]
    for file in (tmp_path / "whole/bounding_box_train").iterdir():
        file.unlink()
    with pytest.raises(InputError, match="bounding_box_train holds no photos"):
        convert("market", tmp_path / "whole")
