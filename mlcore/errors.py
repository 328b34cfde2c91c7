"""The errors of mlcore. Each text says what is wrong, where, and what to do."""

from collections.abc import Sequence


class InputError(ValueError):
    """The data or the recipe cannot be worked with. `problems` lists every fault found, one line each."""

    def __init__(self, message: str, problems: Sequence[str] = ()) -> None:
        super().__init__("\n".join([message, *(f"- {problem}" for problem in problems)]))
        self.message = message
        self.problems = list(problems)


class SpaceMismatch(ValueError):  # noqa: N818
    """Vectors of two spaces were about to meet. Embed the query again with the index's own model."""
