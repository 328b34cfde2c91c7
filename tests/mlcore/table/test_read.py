"""Tables as people save them."""

import io
from pathlib import Path

import pandas as pd
import pytest

from mlcore.errors import InputError
from mlcore.table import escape_cell, flag, normalise_table, read_table, unescape_cell
from mlcore.table.read import OVERFLOW

HEADER = "label,path,split,is_query,is_gallery"
ROW = "007,a/Кот.jpg,train,,"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1251", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_encodings_and_delimiters(encoding: str, delimiter: str, newline: str) -> None:
    text = newline.join([HEADER, ROW, ""]).replace(",", delimiter)
    frame = read_table(text.encode(encoding))
    assert frame.iloc[0].to_dict() == {
        "label": "007",
        "path": "a/Кот.jpg",
        "split": "train",
        "is_query": "",
        "is_gallery": "",
    }


def test_a_path_bytes_and_an_open_file_read_the_same(tmp_path: Path) -> None:
    data = f"{HEADER}\n{ROW}\n".encode()
    path = tmp_path / "df.csv"
    path.write_bytes(data)
    for source in (path, str(path), data, io.BytesIO(data)):
        pd.testing.assert_frame_equal(read_table(source), read_table(data))


def test_row_numbers_count_what_a_spreadsheet_shows() -> None:
    text = f'{HEADER}\n\n{ROW}\n,,,,\n"two\nlines",b.jpg,train,,\n{ROW}\n'
    frame = read_table(text.encode())
    assert frame.index.tolist() == [3, 5, 6]
    assert frame["label"].tolist() == ["007", "two\nlines", "007"]


def test_short_and_long_rows() -> None:
    frame = read_table(f"{HEADER}\nx,a.jpg\ny,b.jpg,train,,,,\nz,c.jpg,train,,,more,cells\n".encode())
    assert frame["split"].tolist() == ["", "train", "train"]
    assert frame[OVERFLOW].tolist() == ["", "", "more,cells"]


def test_names_of_columns() -> None:
    frame = read_table(b" Label ;PATH;;Price\nx;a.jpg;1;2\n")
    assert list(frame.columns) == ["label", "path", "unnamed 3", "price"]
    with pytest.raises(InputError, match="label twice"):
        read_table(b"label,path,Label\n")


def test_a_hint_for_excel_is_no_header() -> None:
    frame = read_table(b"sep=;\nlabel;path\nx;a,b.jpg\n")
    assert frame["path"].tolist() == ["a,b.jpg"]
    assert frame.index.tolist() == [2]


def test_parquet_with_types() -> None:
    frame = pd.DataFrame(
        {"label": [7, 8], "path": ["a", "b"], "is_query": [True, None], "x_1": [3.0, None], "sequence": [None, "s"]}
    )
    buffer = io.BytesIO()
    frame.to_parquet(buffer)
    table = read_table(buffer.getvalue())
    assert table["label"].tolist() == ["7", "8"]
    assert table["is_query"].tolist() == ["True", ""]
    assert table["x_1"].tolist() == ["3", ""]
    assert table["sequence"].tolist() == ["", "s"]
    assert table.index.tolist() == [2, 3]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b" \n \n", "empty"),
        (b"\xef\xbb\xbf", "empty"),
        (b"label\0path", "no text"),
        (b"PK\x03\x04rest", "Excel"),
        (b"PAR1rest", "cannot be read"),
        (b'label,path\n"never closed,a.jpg\n', "quotes"),
        (b"\xff\xfelabel\xd8", "neither|empty|no text"),
    ],
)
def test_what_is_no_table(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_table(data)


@pytest.mark.parametrize("word", ["True", "true", "TRUE", "1", "yes", "Y", " true ", "1.0"])
def test_true(word: str) -> None:
    assert flag(word) is True


@pytest.mark.parametrize("word", ["False", "0", "no", "", " ", "0.0"])
def test_false(word: str) -> None:
    assert flag(word) is False


@pytest.mark.parametrize("word", ["2", "maybe", "-1", "nan"])
def test_neither(word: str) -> None:
    assert flag(word) is None


def test_normalised() -> None:
    text = f"{HEADER},x_1,y_1,x_2,y_2,price\n1,.\\a\\b.jpg,Validation,yes,,1,2,3.4,4,9\n2,c.jpg,TRAIN,,,,,,,\n"
    table = normalise_table(read_table(text.encode()))
    assert table["path"].tolist() == ["a/b.jpg", "c.jpg"]
    assert table["split"].tolist() == ["validation", "train"]
    assert table["is_query"].tolist() == [True, False]
    assert table["is_query"].dtype == bool
    assert table["x_2"].tolist() == [3, pd.NA]
    assert table["x_2"].dtype == "Int64"
    assert table["category"].tolist() == ["", ""]
    assert table["price"].tolist() == ["9", ""]


@pytest.mark.parametrize("value", ["=1+1", "+7", "-x", "@me", "'=1", "''=1", "plain", "'quoted'", "", "it's", "'"])
def test_escaped_cells_come_back(value: str) -> None:
    cell = escape_cell(value)
    assert cell[:1] not in ("=", "+", "-", "@")
    assert unescape_cell(cell) == value
