"""The manifest: the same rows, the same bytes."""

import hashlib
import io
from pathlib import Path

import pandas as pd
import pytest

from mlcore.errors import InputError
from mlcore.manifest import COLUMNS, manifest_from_table, photo_groups, read_manifest, write_manifest
from mlcore.table import read_table


def rows() -> list[dict[str, object]]:
    empty = {"category": None, "sequence": None, "x_1": None, "y_1": None, "x_2": None, "y_2": None}
    common = {"label": "007", "split": "train", "is_query": False, "is_gallery": False}
    return [
        {"sample_id": 3, "image_key": "images/ab/abc", "sha256": "abc", "path": "1.jpg", **common, **empty},
        {"sample_id": 1, "image_key": "images/de/def", "sha256": "def", "path": "2.jpg", **common, **empty}
        | {"category": "pets", "sequence": "s", "x_1": 0, "y_1": 1, "x_2": 2, "y_2": 3},
    ]


def test_round_trip_types() -> None:
    frame = read_manifest(write_manifest(pd.DataFrame(rows())))
    assert list(frame.columns) == COLUMNS
    assert frame["sample_id"].tolist() == [1, 3]
    assert frame["sample_id"].dtype == "int64"
    assert frame["is_query"].dtype == bool
    assert frame["x_1"].dtype == "Int64"
    assert frame["x_1"].tolist() == [0, pd.NA]
    assert frame["label"].tolist() == ["007", "007"]
    assert frame["category"].isna().tolist() == [False, True]


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    first = write_manifest(pd.DataFrame(rows()))
    other = pd.DataFrame(rows()[::-1], index=[9, 4])[COLUMNS[::-1]].fillna({"category": "", "sequence": ""})
    other["is_query"] = other["is_query"].astype(object)
    other["x_1"] = other["x_1"].astype("float64")
    other["extra"] = 1
    assert write_manifest(other) == first
    assert write_manifest(read_manifest(first)) == first
    path = tmp_path / "manifest.parquet"
    path.write_bytes(first)
    for source in (path, str(path), io.BytesIO(first)):
        pd.testing.assert_frame_equal(read_manifest(source), read_manifest(first))
    changed = pd.DataFrame(rows())
    changed.loc[0, "label"] = "7"
    assert write_manifest(changed) != first


def test_an_empty_manifest() -> None:
    frame = read_manifest(write_manifest(pd.DataFrame(columns=COLUMNS)))
    assert (len(frame), frame["x_1"].dtype, frame["is_query"].dtype) == (0, "Int64", bool)


def test_what_is_no_manifest() -> None:
    with pytest.raises(InputError, match="no manifest"):
        read_manifest(b"nonsense")
    with pytest.raises(InputError, match="lacks the columns sha256"):
        write_manifest(pd.DataFrame(rows()).drop(columns="sha256"))
    with pytest.raises(InputError, match="1 sample ids twice: 3"):
        write_manifest(pd.DataFrame([rows()[0], rows()[0]]))


def test_photo_groups() -> None:
    table = pd.DataFrame([rows()[0] | {"sample_id": number} for number in range(6)])
    table["x_1"] = table["x_1"].astype("Int64")
    table.loc[2, ["x_1", "y_1", "x_2", "y_2"]] = [0, 0, 5, 5]
    table.loc[3:, "sha256"] = ["zzz", "", None]
    groups = photo_groups(table).tolist()
    assert groups[0] == groups[1]
    assert len(set(groups)) == 5


def test_from_a_table(tmp_path: Path) -> None:
    for name in ("1.jpg", "2.jpg"):
        (tmp_path / name).write_bytes(name.encode())
    text = "label,path,split,is_query,is_gallery,x_1,y_1,x_2,y_2\n01,./1.jpg,train,,,,,,\n01,2.jpg,train,,,0,0,5,5\n"
    manifest = manifest_from_table(read_table(text.encode()), tmp_path)
    assert manifest["sample_id"].tolist() == [1, 2]
    assert manifest["image_key"].tolist() == ["1.jpg", "2.jpg"]
    assert manifest["sha256"].tolist() == [hashlib.sha256(name).hexdigest() for name in (b"1.jpg", b"2.jpg")]
    assert manifest["label"].tolist() == ["01", "01"]
    assert manifest["y_2"].tolist() == [pd.NA, 5]


def test_every_error_of_a_table_is_told(tmp_path: Path) -> None:
    text = "label,path,split,is_query,is_gallery\na,gone.jpg,train,,\na,gone too.jpg,trian,,\n"
    with pytest.raises(InputError) as caught:
        manifest_from_table(read_table(text.encode()), tmp_path)
    assert [line.split(":")[0] for line in caught.value.problems] == ["row 2, path", "row 3, split", "row 3, path"]
