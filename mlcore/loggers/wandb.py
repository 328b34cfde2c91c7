"""Weights & Biases: offline, in files that `wandb sync OUT/wandb/wandb/offline-run-*` sends when somebody wants it.

`WANDB_MODE=online` sends at once, with a key that is there already: nobody is ever asked to log in.
"""

import os
import secrets
from collections.abc import Mapping
from typing import Any

from mlcore.errors import InputError
from mlcore.loggers.base import Logger


class WandB(Logger):
    name = "wandb"
    packages = ("wandb",)

    @classmethod
    def load(cls) -> Any:
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # read when it is imported
        return super().load()

    def open(self, first_step: int) -> None:
        mode = os.environ.get("WANDB_MODE", "offline")
        if mode == "online" and not self.package.login(prompt=False):
            raise InputError("WANDB_MODE is online, but there is no key: set WANDB_API_KEY")
        run_id = self.kept_id(first_step) or secrets.token_hex(4)
        self.keep_id(run_id)
        self.run = self.package.init(
            project=os.environ.get("WANDB_PROJECT", "kindred"),
            name=self.folder.resolve().parent.name,
            dir=str(self.folder),
            config=self.recipe.model_dump(mode="json"),
            id=run_id,
            resume="allow" if mode == "online" else None,
            mode=mode,
            reinit="create_new",  # runs that others have open are left alone
            settings=self.package.Settings(silent=True, console="off"),  # standard output stays ours
        )
        # By our own step, for its own refuses to go back to where a training is resumed.
        self.run.define_metric("*", step_metric="step")

    def figures(self, step: int, figures: Mapping[str, float]) -> None:
        self.run.log({"step": step, **figures})

    def message(self, text: str, level: str) -> None:
        self.run.log({"step": self.step, level: text})

    def end(self, failed: bool) -> None:
        self.run.finish(exit_code=int(failed))
