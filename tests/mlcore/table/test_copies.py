"""The same bytes under two paths: across the splits an error, else a warning."""

import pytest

from mlcore.table import check_copies, read_table

HEADER = "label,path,split,is_query,is_gallery,x_1,y_1,x_2,y_2"
CAT = "cat,1.jpg,train,,,,,,"
BYTES = {"1.jpg": "a", "2.jpg": "a", "3.jpg": "a", "4.jpg": "b"}


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ("dog,4.jpg,validation,1,1,,,,", []),
        ("cat,./1.jpg,validation,1,1,,,,", []),  # the same path is another fault
        ("dog,2.jpg,validation,1,1,,,,", [(3, "error", 2)]),
        ("dog,2.jpg,Validation,1,1,0,0,5,5", [(3, "warning", 2)]),
        ("cat,2.jpg,train,,,,,,", [(3, "warning", 2)]),
        ("cat,2.jpg,train,,,0,0,5,5", []),
        ("dog,2.jpg,validation,1,1,,,,\ndog,3.jpg,train,,,,,,", [(3, "error", 2), (4, "error", 3)]),
        ("dog,gone.jpg,validation,1,1,,,,", []),
    ],
)
def test_each_kind_of_copy(rows: str, expected: list[tuple[int, str, int]]) -> None:
    problems = list(check_copies(read_table(f"{HEADER}\n{CAT}\n{rows}".encode()), BYTES))
    assert [(problem.row, problem.severity) for problem in problems] == [each[:2] for each in expected]
    assert all(f"row {row}" in problem.message for problem, (*_, row) in zip(problems, expected, strict=True))
    assert all(problem.remedy for problem in problems)


def test_boxes_need_no_columns() -> None:
    table = read_table(b"label,path,split,is_query,is_gallery\ncat,1.jpg,train,,\ndog,2.jpg,validation,1,1")
    assert [problem.severity for problem in check_copies(table, BYTES)] == ["error"]
