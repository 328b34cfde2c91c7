"""Tables as people save them."""

import io
import tracemalloc
from pathlib import Path, PurePosixPath

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlcore.errors import InputError
from mlcore.table import clean_path, escape_cell, flag, limits, normalise_table, read, read_table, unescape_cell
from mlcore.table.limits import HEADER as HEADER_KEY
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
    assert list(frame.columns) == ["label", "path"]  # no other is read
    assert frame.attrs[HEADER_KEY] == "label, path, unnamed 3, price"
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


def to_parquet(**columns: object) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


def test_parquet_cells_of_every_kind() -> None:
    columns = {
        "label": pa.array(["b", None, " a "]).dictionary_encode(),
        "path": pa.array(["c", "'=1", None], pa.large_string()),
        "is_query": pa.array([True, False, None]),
        "x_1": pa.array([1.0, float("nan"), 2.5]),
        "y_1": pa.array([2**53 + 1, None, -1]),
        "sequence": pa.nulls(3),
        "category": pa.array(["", "x", "x"]).cast(pa.string_view()),
    }
    frame = read_table(to_parquet(**columns))
    assert frame.to_dict("list") == {
        "label": ["b", "", "a"],
        "path": ["c", "'=1", ""],
        "is_query": ["True", "False", ""],
        "x_1": ["1", "", "2.5"],
        "y_1": ["9007199254740993", "", "-1"],
        "sequence": ["", "", ""],
        "category": ["", "x", "x"],
    }


def test_many_batches_of_a_parquet_keep_their_order(tmp_path: Path) -> None:
    labels = [f"label {number % 1000}" if number % 7 else None for number in range(150_000)]
    path = tmp_path / "df.parquet"
    path.write_bytes(to_parquet(label=labels, path=[f"{number}.jpg" for number in range(150_000)]))
    frame = read_table(path)
    assert frame["label"].tolist() == [label or "" for label in labels]
    assert frame["path"].iloc[-1] == "149999.jpg"
    assert frame.index[-1] == 150_001


def test_other_columns_of_a_parquet_are_not_read() -> None:
    """Nor could they be here: their bytes are broken."""
    data = bytearray(to_parquet(label=["a", "b"], embedding=[[0.5, 0.25]] * 2, note=["n" * 900, "o" * 900]))
    group = pq.read_metadata(io.BytesIO(data)).row_group(0)
    for at in (1, 2):
        column = group.column(at)
        begin = column.dictionary_page_offset or column.data_page_offset
        data[begin : begin + column.total_compressed_size] = b"\xff" * column.total_compressed_size
    assert read_table(bytes(data)).to_dict("list") == {"label": ["a", "b"]}


def test_a_known_column_of_a_parquet_holds_cells() -> None:
    with pytest.raises(InputError, match=r"The column label holds list<.*>; a cell is text"):
        read_table(to_parquet(label=[["a"], ["b"]]))


def test_bytes_of_a_parquet_that_are_no_text_spare_the_other_cells() -> None:
    raw = pa.array([b"caf\xe9", "café".encode()])
    frame = read_table(to_parquet(label=pa.Array.from_buffers(pa.string(), 2, raw.buffers())))
    assert frame["label"].tolist() == ["caf\udce9", "café"]


def test_a_table_of_too_many_rows_is_refused_with_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (limits, read):
        monkeypatch.setattr(module, "MAX_ROWS", 3)
    assert len(read_table(b"label\n" + b"a\n" * 3)) == 3
    for data in (b"label\n" + b"a\n\n" * 5, to_parquet(label=["a"] * 5)):
        with pytest.raises(InputError, match=r"The table has 5 rows; at most 3 are read\. Split it"):
            read_table(data)


def test_a_table_of_too_much_text_is_refused_with_its_size(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(limits, "MAX_BYTES", 2**20)
    path = tmp_path / "df.csv"
    path.write_bytes(b"label\n" + b"a" * 2**17 * 24)
    long = to_parquet(label=[f"{number:0100000}" for number in range(30)])
    for source in (path, path.read_bytes(), long):
        with pytest.raises(InputError, match=r"holds (3\.0|2\.9) MiB of text; at most 1 MiB are read"):
            read_table(source)
    unread = to_parquet(label=["a"], note=["x" * 2**21])
    assert read_table(unread).to_dict("list") == {"label": ["a"]}


@pytest.mark.parametrize("text", ["label," + '"ab\n",' * 300_000, "label\n" + "ab," * 400_000])
def test_a_row_without_end_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="a row of more than 1,048,576 characters"):
        read_table(text.encode())


def test_a_large_table_takes_a_bounded_part_of_the_memory() -> None:
    """200,000 rows; the bound is some 600 bytes for each."""
    data = HEADER.encode() + b"".join(
        b"\nitem %d,photos/%04d/IMG_%08d.jpg,train,," % (i // 9, i, i) for i in range(200_000)
    )
    tracemalloc.start()
    try:
        frame = read_table(data)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(frame) == 200_000
    assert peak_bytes < 120 * 2**20


@pytest.mark.parametrize(
    "path", ["a/b.jpg", ".a", "a/.b", "./a", "a//b", "a/", "a\\b", "", ".", "a/./b", "//a", "/a", "a.b"]
)
def test_a_path_is_cleaned_as_pathlib_does(path: str) -> None:
    assert clean_path(path) == str(PurePosixPath(path.replace("\\", "/")))


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
    text = f"{HEADER},x_1,y_1,x_2,y_2\n1,.\\a\\b.jpg,Validation,yes,,1,2,3.4,4\n2,c.jpg,TRAIN,,,,,,\n"
    table = normalise_table(read_table(text.encode()))
    assert table["path"].tolist() == ["a/b.jpg", "c.jpg"]
    assert table["split"].tolist() == ["validation", "train"]
    assert table["is_query"].tolist() == [True, False]
    assert table["is_query"].dtype == bool
    assert table["x_2"].tolist() == [3, pd.NA]
    assert table["x_2"].dtype == "Int64"
    assert table["category"].tolist() == ["", ""]


@pytest.mark.parametrize("value", ["=1+1", "+7", "-x", "@me", "'=1", "''=1", "plain", "'quoted'", "", "it's", "'"])
def test_escaped_cells_come_back(value: str) -> None:
    cell = escape_cell(value)
    assert cell[:1] not in ("=", "+", "-", "@")
    assert unescape_cell(cell) == value
