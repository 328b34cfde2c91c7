"""Imports whose table is a parquet file, which can hold more than a table should."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.conf import settings

from apps.datasets import tasks
from apps.datasets.models import Import, ImportFile, Label, Sample
from apps.jobs.models import Job
from tests.apps.datasets.conftest import GOOD_ROWS, HEADER, make_zip, photo

BringIn = Callable[..., tuple[Import, Job]]


def parquet_zip(**columns: Any) -> bytes:
    """A zip with eight photos and a sound parquet table of them, in which some columns are others."""
    count = len(GOOD_ROWS)
    cells = list(zip(*(row.split(",") for row in GOOD_ROWS), strict=True))
    table = {name: pa.array(column) for name, column in zip(HEADER.split(","), cells, strict=True)} | columns
    buffer = io.BytesIO()
    pq.write_table(pa.table({name: column for name, column in table.items() if column is not None}), buffer)
    return make_zip({**{f"img/{i}.jpg": photo(i) for i in range(count)}, "df.parquet": buffer.getvalue()})


NOT_TEXT = pa.array([b"x"] * 7 + [b"x\xed\xa0\x80"])  # the last cell: half of a UTF-16 pair


@pytest.mark.parametrize(
    ("column", "cells", "words"),
    [
        (
            "label",
            ["mug"] * 6 + ["cup\0x"] * 2,
            "The label holds the null character, which cannot be kept, at character 4.",
        ),
        ("path", [f"img/{i}.jpg" for i in range(7)] + ["img/7.jpg\0"], "The path holds the null character"),
        ("category", ["", *[None] * 6, "a\0b"], "The category holds the null character"),
        (
            "sequence",
            [""] * 7 + ["\0"],
            "The sequence holds the null character",
        ),
        ("split", ["train"] * 7 + ["train\0"], "The split is “train\ufffd”."),
        ("sequence", pa.Array.from_buffers(pa.string(), 8, NOT_TEXT.buffers()), "The sequence holds bytes that are no"),
    ],
)
def test_characters_that_no_database_keeps_are_told_by_cell_and_nothing_comes_in(
    bring_in: BringIn, monkeypatch: pytest.MonkeyPatch, column: str, cells: Any, words: str
) -> None:
    monkeypatch.setattr(tasks, "CHUNK", 2)  # the bad cell lies in the last chunk
    made, job = bring_in(parquet_zip(**{column: cells}))
    assert job.state == "failed"
    assert "nothing was imported" in job.error
    (problem,) = [each for each in made.problems if each["row"] == 9 and each["message"].startswith(words)]
    assert (problem["column"], problem["severity"]) == (column, "error")
    assert (Sample.objects.count(), Label.objects.count(), ImportFile.objects.count()) == (0, 0, 0)
    assert not [path for path in Path(settings.MEDIA_ROOT).rglob("*") if path.is_file()]


def test_the_names_of_columns_are_quoted_such_that_they_can_be_kept(bring_in: BringIn) -> None:
    made, job = bring_in(parquet_zip(**{"path": None, "col\0our": ["red"] * 8}))
    assert job.state == "failed"
    assert "nothing was imported" in job.error
    assert made.problems[0]["message"] == "The column path is missing."
    assert "col\ufffdour" in made.problems[0]["remedy"]


def test_a_column_of_vectors_is_passed_over(bring_in: BringIn) -> None:
    made, job = bring_in(parquet_zip(embedding=[[0.5, 1.0]] * 8, tags=[{"a": "b"}] * 8))
    assert job.result == {"added": 8, "duplicate": 0, "refused": 0}, (job.error, made.problems)


def test_more_rows_than_are_read_are_refused_unread(bring_in: BringIn) -> None:
    count = 2_000_001
    word = pa.DictionaryArray.from_arrays(pa.array(bytes(count), pa.int8()), pa.array(["x"]))
    buffer = io.BytesIO()
    pq.write_table(pa.table(dict.fromkeys(HEADER.split(","), word)), buffer)
    made, job = bring_in(make_zip({"df.parquet": buffer.getvalue(), "x": photo()}))
    assert job.state == "failed"
    assert "The table has 2,000,001 rows; at most 2,000,000 are read." in made.problems[0]["message"]
