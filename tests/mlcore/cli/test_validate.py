"""`train --validate NAME=TABLE`: figures of further tables in events and report, and faults of all tables at once."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mlcore.cli import main
from tests.mlcore.photos import make_photos, write_folder

Train = Callable[..., int]


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Three labels of three samples that are in no other table."""
    return write_folder(tmp_path / "other", *make_photos(train_labels=10, validation_labels=3, samples=3))


@pytest.mark.slow
def test_a_further_table_is_reported_as_evaluate_reports_it(
    train: Train, trained: Path, other: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    best = ("--set", "best_metric=sets/street/map@r")
    assert train(out, "--validate", f"street={other}", *best) == 0
    shown = capsys.readouterr()
    report = json.loads((out / "report.json").read_text())
    alone = tmp_path / "alone.json"
    assert main(["evaluate", str(out), "--data", str(other), "--device", "cpu", "--out", str(alone)]) == 0
    assert report.pop("sets") == {"street": json.loads(alone.read_text())}
    assert set(report) == set(json.loads((trained / "report.json").read_text())) == {"overall", "categories", "counts"}
    assert "validation set street\n" in shown.out
    assert "  street: cmc@1 " in shown.err
    capsys.readouterr()
    assert train(out, "--json", "--validate", f"street={other}", *best) == 0
    *events, finished = map(json.loads, capsys.readouterr().out.splitlines())
    validated = [event for event in events if event["event"] == "Validated"]
    assert [set(event["sets"]) for event in validated] == [{"street"}] * 2
    assert finished["report"]["sets"]["street"]["overall"] == pytest.approx(
        finished["result"]["best_sets"]["street"], abs=1e-6
    )


def test_faults_of_all_tables_are_listed_together(
    train: Train, photos: Path, other: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos.write_text(photos.read_text().replace("validation,True", "validation,maybe", 1))
    (other.parent / "11/1.jpg").unlink()
    absent = tmp_path / "absent.csv"
    sets = [f"--validate=street={other}", f"--validate=none={absent}"]
    assert train(tmp_path / "out", "--json", *sets, data=photos) == 2
    answer = json.loads(capsys.readouterr().out)
    assert answer["error"] == "3 tables cannot be used."
    first, second, third = answer["problems"]
    assert first.startswith(f"{photos}: row ")
    assert "maybe" in first
    assert second.startswith(f"{other}: row ")
    assert "11/1.jpg" in second
    assert third.startswith(f"{absent} is not there")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_train_rows_of_a_further_table_do_not_count(
    train: Train, other: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sound = other.read_text()
    (other.parent / "0/0.jpg").unlink()
    other.write_text(sound.replace("10/0.jpg,label-10,square,validation,True,True", "10/0.jpg,label-10,square,train,,"))
    assert train(tmp_path / "out", f"--validate=street={other}") == 0
    counts = json.loads((tmp_path / "out/report.json").read_text())["sets"]["street"]["counts"]
    assert counts == {"queries": 8, "gallery": 8, "queries_without_match": 0}
    (other.parent / "12/2.jpg").unlink()
    assert train(tmp_path / "again", f"--validate=street={other}") == 2
    said = capsys.readouterr().err
    assert f"row {len(sound.splitlines())}, path: 12/2.jpg" in said  # as the whole table counts them
    assert "0/0.jpg" not in said
    other.write_text("\n".join(line for line in sound.splitlines() if ",validation," not in line))
    assert train(tmp_path / "again", f"--validate=street={other}", "--json") == 2
    assert "0/0.jpg" in capsys.readouterr().out  # nothing but train rows: these are what is wrong


def test_names_are_checked_before_tables_are_read(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = ("a=no.csv", "a=other.csv", "b/c=no.csv", "street", "=no.csv")
    more = [f"--validate={text}" for text in texts]
    metric = "best_metric=sets/square/cmc@1"
    assert train(tmp_path / "out", "--json", *more, "--set", metric, data=tmp_path / "no.csv") == 2
    answer = json.loads(capsys.readouterr().out)
    assert answer["error"] == "The validation sets are not valid."
    expected = ("two sets named a", "street names no table", "'b/c'", "''", "best sets/square/cmc@1")
    for words, problem in zip(expected, answer["problems"], strict=True):
        assert words in problem
    assert "are: a, " in answer["problems"][-1]


@pytest.mark.slow
def test_a_damaged_photo_is_named_with_its_set(
    train: Train, other: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("10/0.jpg", "12/2.jpg"):
        (other.parent / name).write_bytes((other.parent / name).read_bytes()[:300])
    assert train(tmp_path / "out", "--json", "--cache", "none", "--validate", f"street={other}") == 2
    answer = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert answer["error"] == "2 photos cannot be read."
    assert [problem.rpartition(".jpg: ")[0] for problem in answer["problems"]] == ["street: 10/0", "street: 12/2"]


def test_many_warnings_are_counted(
    train: Train, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = photos.read_text().splitlines()
    for number in range(30):  # labels of one photo, from which little can be learned
        (photos.parent / f"{number}.jpg").write_bytes(make_photos(train_labels=1)[1].photos["0/0.jpg"] + bytes(number))
        lines.append(f"{number}.jpg,alone-{number},,train,,")
    photos.write_text("\n".join(lines))
    missing = f"--validate=street={tmp_path / 'no.csv'}"
    assert train(tmp_path / "out", missing, data=photos) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning:")]
    assert len(said) == 21
    assert "has 10 more warnings" in said[-1]
