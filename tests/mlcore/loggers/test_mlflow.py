"""What MLflow itself reads back from its store."""

from pathlib import Path
from typing import Any

import pytest

from mlcore.events import StepDone, Validated
from mlcore.loggers import LOGGERS
from tests.mlcore.loggers.training import train

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
for package in LOGGERS["mlflow"].packages:
    pytest.importorskip(package)


@pytest.fixture(autouse=True)
def _unset(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)  # where MLflow would leave what is told no place


def runs(store: Path) -> tuple[Any, list[Any]]:
    import mlflow

    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{store}")
    experiment = client.get_experiment_by_name("kindred")
    return client, list(client.search_runs([experiment.experiment_id]))


def figures(client: Any, run: Any, name: str) -> list[tuple[int, float]]:
    return [(each.step, each.value) for each in client.get_metric_history(run.info.run_id, name)]


def last_messages(out: Path) -> dict[str, str]:
    """Of each file; a training first says what its labels are worth."""
    files = (out / "mlflow/artifacts").rglob("messages/*.txt")
    return {file.name: file.read_text().splitlines()[-1] for file in files}


def test_figures_recipe_and_warnings(tmp_path: Path) -> None:
    out = tmp_path / "a training"
    events = train("mlflow", out)
    client, (run,) = runs(out / "mlflow/mlflow.db")
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "a training"
    assert run.data.params["loss.kind"] == "arcface"
    assert run.data.params["sampler.labels"] == "4"
    steps = [each for each in events if isinstance(each, StepDone)]
    assert figures(client, run, "train/loss") == [(each.step, each.loss) for each in steps]
    validations = [each for each in events if isinstance(each, Validated)]
    for name in validations[0].metrics:
        wanted = [(each.step, each.metrics[name]) for each in validations]
        assert figures(client, run, f"overall/{name.replace('@', '_at_')}") == wanted
    assert last_messages(out) == {"from-step-0.txt": "4\twarning\tMind the step."}
    assert [path.name for path in tmp_path.iterdir()] == ["a training"]


def test_a_resumed_training_goes_on_with_its_run(tmp_path: Path) -> None:
    train("mlflow", tmp_path, stop_at=3)
    train("mlflow", tmp_path, resume=True)
    client, (run,) = runs(tmp_path / "mlflow/mlflow.db")
    assert [step for step, _ in figures(client, run, "train/loss")] == [1, 2, 3, 4]
    assert run.info.status == "FINISHED"
    assert last_messages(tmp_path) == {
        "from-step-0.txt": "3\twarning\tMind the step.",
        "from-step-3.txt": "4\twarning\tMind the step.",
    }
    train("mlflow", tmp_path)
    assert len(runs(tmp_path / "mlflow/mlflow.db")[1]) == 2


def test_it_writes_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'ours.db'}")
    train("mlflow", tmp_path / "out")
    assert len(runs(tmp_path / "ours.db")[1]) == 1
    assert not (tmp_path / "out/mlflow/mlflow.db").exists()
