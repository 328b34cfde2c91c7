"""TensorBoard: event files. `tensorboard --logdir DIR` shows all trainings below a folder beside each other."""

from collections.abc import Mapping

import yaml

from mlcore.loggers.base import Logger, flat

FLUSH_SECONDS = 10


class TensorBoard(Logger):
    name = "tensorboard"
    packages = ("torch.utils.tensorboard", "torch.utils.tensorboard.summary")

    def open(self, first_step: int) -> None:
        # Purged is what an earlier attempt wrote after the step from which this one goes on.
        purge_step = first_step + 1 if first_step else 0
        self.writer = self.package.SummaryWriter(str(self.folder), purge_step=purge_step, flush_secs=FLUSH_SECONDS)
        if first_step:
            return
        settings = self.recipe.model_dump(mode="json")
        best = self.recipe.best_metric
        best = best if "/" in best else f"overall/{best}"
        for summary in self.package.summary.hparams(dict(flat(settings)), {best: 0}):
            self.writer.file_writer.add_summary(summary)
        text = yaml.safe_dump(settings, sort_keys=False)
        self.writer.add_text("recipe", "\n".join(f"    {line}" for line in text.splitlines()), 0)

    def figures(self, step: int, figures: Mapping[str, float]) -> None:
        for name, value in figures.items():
            self.writer.add_scalar(name, value, step)

    def message(self, text: str, level: str) -> None:
        self.writer.add_text(level, text, self.step)

    def end(self, failed: bool) -> None:
        self.writer.close()
