"""MLflow: a run in an SQLite store beside the training, or in the one that `MLFLOW_TRACKING_URI` names.

`mlflow ui --backend-store-uri sqlite:///OUT/mlflow/mlflow.db` shows it (the whole `mlflow`, in an environment of its
own: it wants older packages than ours). MLflow refuses folders as stores, and `@` in names: `cmc@1` is `cmc_at_1`.
"""

import logging
import os
import re
import time
from collections.abc import Mapping
from typing import Any

from mlcore.loggers.base import Logger, flat

PARAMS_AT_ONCE = 100  # more is refused


class MLflow(Logger):
    name = "mlflow"
    packages = ("mlflow", "sqlalchemy", "alembic")

    @classmethod
    def load(cls) -> Any:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read when it is imported
        return super().load()

    def open(self, first_step: int) -> None:
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)  # else it tells of every table it makes
        told = os.environ.get("MLFLOW_TRACKING_URI")
        store = self.folder.resolve()
        self.client = self.package.MlflowClient(tracking_uri=told or f"sqlite:///{store / 'mlflow.db'}")
        self.messages: list[str] = []
        self.first_step = first_step
        self.run_id = self.kept_id(first_step)
        if self.run_id is not None:
            self.client.update_run(self.run_id, status="RUNNING")
            return
        experiment = os.environ.get("MLFLOW_EXPERIMENT_NAME", "kindred")
        found = self.client.get_experiment_by_name(experiment)
        artifacts = None if told else (store / "artifacts").as_uri()
        number = found.experiment_id if found else self.client.create_experiment(experiment, artifacts)
        self.run_id = self.client.create_run(number, run_name=store.parent.name).info.run_id
        self.keep_id(self.run_id)
        params = [
            self.package.entities.Param(name, str(value)) for name, value in flat(self.recipe.model_dump(mode="json"))
        ]
        for at in range(0, len(params), PARAMS_AT_ONCE):
            self.client.log_batch(self.run_id, params=params[at : at + PARAMS_AT_ONCE])

    def figures(self, step: int, figures: Mapping[str, float]) -> None:
        now = int(time.time() * 1000)
        metrics = [self.package.entities.Metric(allowed(name), value, now, step) for name, value in figures.items()]
        self.client.log_batch(self.run_id, metrics=metrics)

    def message(self, text: str, level: str) -> None:
        self.messages.append(f"{self.step}\t{level}\t{text}")
        self.client.log_text(self.run_id, "\n".join(self.messages), f"messages/from-step-{self.first_step}.txt")

    def end(self, failed: bool) -> None:
        self.client.set_terminated(self.run_id, "FAILED" if failed else "FINISHED")


def allowed(name: str) -> str:
    """A name that MLflow takes.

    >>> allowed("overall/cmc@1")
    'overall/cmc_at_1'
    >>> allowed("sets/été/cmc@1")  # letters of any script, so that two sets stay two
    'sets/été/cmc_at_1'
    """
    return re.sub(r"[^\w\-. :/]", "_", name.replace("@", "_at_"))
