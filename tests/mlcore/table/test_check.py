"""All faults of a table at once, each with its row."""

import zipfile
from pathlib import Path

import pytest

from mlcore.table import Problem, check_table, read_table

GROCERY = Path(__file__).parents[4] / "shared" / "data" / "grocery.zip"
HEADER = "label,path,split,is_query,is_gallery,category,sequence,x_1,y_1,x_2,y_2"
SOUND = """
cat,1.jpg,train,,,pets,,,,,
cat,2.jpg,train,,,pets,,,,,
dog,3.jpg,validation,1,1,pets,,,,,
dog,4.jpg,validation,1,1,pets,,,,,
""".strip()


def check(rows: str, header: str = HEADER, **options: object) -> list[Problem]:
    return check_table(read_table(f"{header}\n{rows}".encode()), **options)  # type: ignore[arg-type]


def found(rows: str, **options: object) -> list[tuple[int, str, str]]:
    """(row, column, severity) of the faults of these rows, below four sound ones."""
    problems = check(f"{SOUND}\n{rows}", **options)
    assert all(problem.message and problem.remedy for problem in problems)
    return [(problem.row, problem.column, problem.severity) for problem in problems]


def test_a_sound_table() -> None:
    assert check(SOUND, exists=lambda path: True, image_size=lambda path: (10, 10)) == []


def test_missing_columns_are_all_named() -> None:
    problems = check("x", header="label,colour")
    assert [(problem.row, problem.column) for problem in problems] == [
        (1, "path"),
        (1, "split"),
        (1, "is_query"),
        (1, "is_gallery"),
    ]
    assert "label, colour" in problems[0].remedy


def test_no_rows() -> None:
    assert [(problem.row, problem.severity) for problem in check("")] == [(0, "error")]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (",9.jpg,train,,", [(6, "label", "error")]),
        ("cat,,train,,", [(6, "path", "error")]),
        ("cat,9.jpg,test,,", [(6, "split", "error")]),
        ("dog,9.jpg,validation,,", [(6, "is_query", "error")]),
        ("dog,9.jpg,validation,0,no", [(6, "is_query", "error")]),
        ("dog,9.jpg,validation,maybe,1", [(6, "is_query", "error")]),
        ("cat,9.jpg,train,1,yes", [(6, "is_query", "error"), (6, "is_gallery", "error")]),
        ("cat,/etc/passwd,train,,", [(6, "path", "error")]),
        ("cat,C:\\photos\\9.jpg,train,,", [(6, "path", "error")]),
        ("cat,\\photos\\9.jpg,train,,", [(6, "path", "error")]),
        ("cat,a/../../9.jpg,train,,", [(6, "path", "error")]),
        ("cat,a\\..\\9.jpg,train,,", [(6, "path", "error")]),
        ("cat,./1.jpg,train,,", [(6, "path", "error")]),
        ("cat,1.jpg,train,,,pets,,0,0,5,5", []),
        ("cat,9.jpg,train,,,,,0,0,5,5\ncat,9.jpg,train,,,,,0,0,5.0,5", [(7, "path", "error")]),
        ("cat,9.jpg,train,,,,,-1,-2,5,5", [(6, "x_1", "error"), (6, "y_1", "error")]),
        ("cat,9.jpg,train,,,,,5,0,5,5", [(6, "x_2", "error")]),
        ("cat,9.jpg,train,,,,,7,7,5,5", [(6, "x_2", "error"), (6, "y_2", "error")]),
        ("cat,9.jpg,train,,,,,1,,5,5", [(6, "y_1", "error")]),
        ("cat,9.jpg,train,,,,,1,x,5,5", [(6, "x_1", "error")]),
        ("cat,9.jpg,train,,,,,nan,0,5,5", [(6, "x_1", "error")]),
        ("cat,9.jpg,train,,,,,0,0,inf,5", [(6, "x_1", "error")]),
        ("cat,9.jpg,train,,,,,0,0,1e30,5", [(6, "x_1", "error")]),
        ("cat,9.jpg,train,,,,,0,0,1_0,5", [(6, "x_1", "error")]),  # Python takes these two for numbers, pandas does not
        ("cat,9.jpg,train,,,,,0,0,٣,5", [(6, "x_1", "error")]),
        ("cat,9.jpg,train,,,,,0,+.5,1e1,5.", []),
        ("cat,9.jpg,train,,,,,0.6,0,1.4,5", [(6, "x_2", "error")]),
        ("cat,9.jpg,train,,,,,0,0,100,100", []),
        ("cat,9.jpg,train,,,,,0,0,101,102", [(6, "x_2", "error"), (6, "y_2", "error")]),
        ("dog,9.jpg,train,,", [(4, "split", "error")]),
        ("cat,9.jpg,train,,,wild", [(2, "category", "error")]),
        ("bird,9.jpg,train,,", [(6, "label", "warning")]),
        ("owl,9.jpg,validation,1,", [(6, "is_query", "warning")]),
        ("owl,9.jpg,validation,1,1", [(6, "is_query", "warning")]),
        ("owl,9.jpg,validation,,1", []),
        ("owl,8.jpg,validation,,1,,s\nowl,9.jpg,validation,1,1,,s", [(7, "is_query", "warning")]),
        ("owl,8.jpg,validation,1,1,,s\nowl,9.jpg,validation,1,1,,t", []),
        ("cat,7.jpg,train,,,,,0,0,5,5\ndog,7.jpg,validation,1,1,,,5,5,9,9", [(7, "split", "warning")]),
        ("cat,9.jpg,train,,,,,,,,,more", [(6, "", "error")]),
        (f"{'x' * 201},9.jpg,train,,", [(6, "label", "error"), (6, "label", "warning")]),
        (f"cat,{'x' * 1001},train,,", [(6, "path", "error")]),
    ],
)  # fmt: skip
def test_each_fault(rows: str, expected: list[tuple[int, str, str]]) -> None:
    assert found(rows, exists=lambda path: True, image_size=lambda path: (100, 100)) == expected


def test_all_faults_come_at_once_in_order() -> None:
    rows = "\n".join(["cat,gone.jpg,train,,", "cat,9.jpg,tset,,", "cat,../9.jpg,train,1,,,,-1,0,1,1"])
    assert found(rows, exists=lambda path: path != "gone.jpg") == [
        (6, "path", "error"),
        (7, "split", "error"),
        (8, "is_query", "error"),
        (8, "path", "error"),
    ]


def test_a_label_in_both_splits_may_be_allowed() -> None:
    assert found("dog,9.jpg,train,,", shared_labels="warning") == [(4, "split", "warning")]


def test_no_query_with_a_match_is_an_error() -> None:
    rows = "a,1.jpg,validation,1,1\nb,2.jpg,validation,1,1"
    assert [(problem.row, problem.severity) for problem in check(rows)] == [(0, "error")]
    only_gallery = "a,1.jpg,validation,,1\na,2.jpg,validation,,1"
    assert [(problem.row, problem.severity) for problem in check(only_gallery)] == [(0, "error")]
    assert check("a,1.jpg,train,,\na,2.jpg,train,,") == []  # no validation split is a choice


def test_a_size_is_asked_for_boxes_only_and_unreadable_files_pass() -> None:
    asked: list[str] = []

    def image_size(path: str) -> None:
        asked.append(path)

    assert found("cat,9.jpg,train,,,,,0,0,900,900", image_size=image_size) == []
    assert asked == ["9.jpg"]


def test_a_problem_as_text_and_as_a_dict() -> None:
    problem = check("cat,1.jpg,train,1,\ncat,2.jpg,train,,")[0]
    assert str(problem) == "row 2, is_query: A train row has is_query set. Leave both flags of train rows empty."
    assert problem.as_dict() == {
        "row": 2,
        "column": "is_query",
        "message": "A train row has is_query set.",
        "remedy": "Leave both flags of train rows empty.",
        "severity": "error",
    }
    assert str(Problem(0, "", "All is lost.", "Begin again.")) == "All is lost. Begin again."


@pytest.mark.parametrize(("bad", "what"), [("\0", "the null character"), ("\udce9", "bytes that are no text")])
@pytest.mark.parametrize("column", ["label", "path", "category", "sequence"])
def test_characters_that_cannot_be_kept_are_told_and_not_repeated(column: str, bad: str, what: str) -> None:
    frame = read_table(f"{HEADER}\n{SOUND}".encode())
    frame.loc[4, column] = f"ca{bad}t"
    problems = check_table(frame, exists=lambda path: True)
    told = [problem for problem in problems if "cannot be kept" in problem.message]
    assert [(problem.row, problem.column, problem.severity) for problem in told] == [(4, column, "error")]
    assert what in told[0].message
    assert "at character 3." in told[0].message
    assert not any(
        bad in text for problem in problems for text in (str(problem), *map(str, problem.as_dict().values()))
    )


@pytest.mark.parametrize("bad", ["\0", "\udce9"])
@pytest.mark.parametrize("column", ["split", "is_query", "x_1"])
def test_such_characters_are_no_flag_and_no_number(column: str, bad: str) -> None:
    frame = read_table(f"{HEADER}\n{SOUND}".encode())
    frame.loc[4, ["x_1", "y_1", "x_2", "y_2"]] = ["0", "0", "9", "9"]
    frame.loc[4, column] += bad
    told = [problem for problem in check_table(frame) if problem.severity == "error"]
    (problem,) = [problem for problem in told if problem.row]  # without the row, others may lack a match
    assert (problem.row, problem.column) == (4, column)
    assert "\ufffd" in problem.message


def test_what_a_problem_quotes_is_cut_and_can_be_kept() -> None:
    problem = Problem(2, "col\0", "x" * 9000, "half of a pair: \ud83d")
    assert (problem.column, problem.remedy) == ("col\ufffd", "half of a pair: \ufffd")
    assert problem.message == "x" * 2000 + "…"
    long = check(f"cat,{'x' * 5000},train,,\n{'y' * 5000},2.jpg,train,,,{'z' * 5000}", exists=lambda path: False)
    assert {problem.column for problem in long} == {"path", "label", "category"}
    assert max(len(problem.message) for problem in long) < 400


def test_a_long_list_is_cut_and_counted() -> None:
    rows = "\n".join(f"label {number},{number}.jpg,tset,," for number in range(9))
    problems = check(rows, most=4)
    assert [(problem.row, problem.severity) for problem in problems if problem.row == 0] == [
        (0, "error"),
        (0, "warning"),
    ]
    assert "9 errors; the first 4 are listed" in problems[0].message
    assert [problem.row for problem in problems if problem.severity == "error"] == [0, 2, 3, 4, 5]
    assert len(check(rows, most=None)) == 18
    assert not any(problem.row == 0 for problem in check(rows, most=9))


@pytest.mark.skipif(not GROCERY.exists(), reason="../shared/data is absent")
def test_the_grocery_table_is_sound() -> None:
    with zipfile.ZipFile(GROCERY) as archive:
        frame = read_table(archive.read("grocery/df.csv"))
        names = set(archive.namelist())
    assert check_table(frame, exists=lambda path: f"grocery/{path}" in names) == []
    assert (len(frame), frame["label"].nunique(), frame["category"].nunique()) == (2936, 81, 43)
