"""`pairs`: the head of the train rows alone, taken by `evaluate`; and every fault named before the work."""

import json
from pathlib import Path

import pytest
import torch

from mlcore.cli import main
from mlcore.cli.data import load_data
from mlcore.config.postprocess import PairHeadConfig, PairRerank
from mlcore.embed import embed_manifest
from mlcore.matches import manifest_rows
from mlcore.model import WEIGHTS, load_model
from mlcore.postprocess import evaluate_with, load_head, train_pair_head
from tests.mlcore.photos import make_photos, write_folder

pytestmark = pytest.mark.slow
SETTINGS = {"head": "concat", "steps": 100, "lr": 1e-2, "weight_decay": 0}
CHANGES = [f"--set={key}={value}" for key, value in SETTINGS.items()]


def test_the_head_is_that_of_the_train_rows_and_evaluate_takes_it(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = write_folder(tmp_path, *make_photos(train_labels=20, validation_labels=8))
    out = tmp_path / "head.safetensors"
    common = [str(trained), "--data", str(table), "--device", "cpu"]
    assert main(["pairs", *common, "--out", str(out), *CHANGES]) == 0
    sentence = capsys.readouterr().out.strip()

    manifest, source = load_data(table, print)
    embeddings = embed_manifest(load_model(trained / "model"), manifest, source)
    is_train = (manifest["split"] == "train").to_numpy()
    config = PairHeadConfig.model_validate(SETTINGS)
    expected = train_pair_head(embeddings[is_train], manifest_rows(manifest[is_train]), config)
    assert expected.steps > 0  # or the head would be the same whatever the rows
    assert sentence == f"{out}: {expected}"
    head = load_head(out)
    assert head.config == config
    torch.testing.assert_close(head.state_dict(), expected.head.state_dict())
    capsys.readouterr()

    chain = f"pairs:weights={out}"
    assert main(["evaluate", *common, "--postprocess", chain, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    found = report["postprocess"][chain]["overall"]
    rows = manifest[~is_train].reset_index(drop=True)
    by_hand = evaluate_with(embeddings[~is_train], rows, {chain: [PairRerank(weights=str(out))]})
    assert found == pytest.approx(by_hand[chain].overall, abs=1e-6)
    assert found != report["overall"]


def test_json_is_one_line_of_steps_and_figures(
    trained: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # A label that validates too, which `evaluate` asks about, may train a head.
    photos.write_text(photos.read_text().replace("label-9", "label-5"))
    out = tmp_path / "head.safetensors"
    command = ["pairs", str(trained), "--data", str(photos), "--out", str(out), "--device", "cpu", "--json"]
    assert main([*command, "--set=steps=1"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    answer = json.loads(line)
    assert list(answer) == ["steps", "before", "after"]
    assert answer["steps"] in (0, 1)
    assert list(answer["before"]) == list(answer["after"]) == ["cmc@1", "map@20"]
    assert load_head(out).config == PairHeadConfig(steps=1)


def test_all_faulty_settings_are_listed_before_any_work(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["pairs", "no-model", "--data", "nowhere.csv", "--out", "no/head", "--json"]
    changes = ["had=linear", "steps=0", "loss=2", "head=cube", "seed=-1", "lr=1e-2"]
    assert main([*command, *(f"--set={change}" for change in changes)]) == 2
    problems = json.loads(capsys.readouterr().out)["problems"]
    assert "had (--set had=linear): There is no such key. Did you mean head?" in problems
    assert "steps (--set steps=0): 0 will not do. It should be greater than 0." in problems
    assert "head (--set head=cube): 'cube' is none of the choices. Write 'linear' or 'concat'." in problems
    (choices,) = (problem for problem in problems if problem.startswith("loss (--set loss=2)"))
    assert all(name in choices for name in PairHeadConfig.model_fields)
    assert len(problems) == 5

    assert main([*command, "--set=head"]) == 2
    assert "--set head: write it as key=value" in json.loads(capsys.readouterr().out)["error"]


def test_the_model_itself_is_not_overwritten(trained: Path, table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = trained / "model" / WEIGHTS
    before = weights.read_bytes()
    assert main(["pairs", str(trained), "--data", str(table), "--out", str(weights), "--set=steps=1"]) == 2
    assert "is a part of the model itself" in capsys.readouterr().err
    assert weights.read_bytes() == before


def test_too_few_labels_are_told_before_photos_are_embedded(
    trained: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos.parent / "0/0.jpg").write_bytes(b"no photo")
    out = tmp_path / "head.safetensors"
    command = ["pairs", str(trained), "--data", str(photos), "--out", str(out), "--device", "cpu"]
    assert main([*command, "--set=folds=4"]) == 2
    assert "6 labels have two photos or more" in capsys.readouterr().err
    assert main(command) == 2
    assert "1 photo cannot be read" in capsys.readouterr().err

    header, *rows = photos.read_text().splitlines()
    photos.write_text("\n".join([header, *(row for row in rows if ",train," not in row)]))
    assert main(command) == 2
    assert "has no train rows to learn from" in capsys.readouterr().err
    assert not out.exists()
