"""One fault of a table, and a list of them that stays short enough to keep."""

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

Severity = Literal["error", "warning"]
MAX_LISTED = 10_000  # errors, and as many warnings: nobody reads more, and two million would fill the memory
MAX_TEXT = 2000  # characters of a message
# What a database does not take as text: the null character, and halves of a UTF-16 pair.
UNSTORABLE = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True)
class Problem:
    """What is wrong, where, and what to do. `row` as a spreadsheet counts (0: the table as a whole).

    Its texts quote a stranger's cells, so they are made such that any database, as text or JSON, takes them.
    """

    row: int
    column: str
    message: str
    remedy: str
    severity: Severity = "error"

    def __post_init__(self) -> None:
        for name in ("column", "message", "remedy"):
            object.__setattr__(self, name, UNSTORABLE.sub("\ufffd", shown(getattr(self, name), MAX_TEXT)))

    def as_dict(self) -> dict[str, Any]:
        """For JSON: row, column, message, remedy, severity."""
        return asdict(self)

    def __str__(self) -> str:
        where = ", ".join([*([f"row {self.row}"] if self.row else []), *([self.column] if self.column else [])])
        return f"{where}: {self.message} {self.remedy}" if where else f"{self.message} {self.remedy}"


def shown(text: str, most: int = 300) -> str:
    """Text for a message, cut after `most` characters.

    >>> shown("a long cell", 6)
    'a long…'
    """
    return text if len(text) <= most else f"{text[:most]}…"


def capped(problems: Iterable[Problem], most: int | None = MAX_LISTED) -> list[Problem]:
    """The first `most` errors and as many warnings (None: all). Those left out are counted by a problem of row 0."""
    kept: list[Problem] = []
    counts: dict[Severity, int] = {"error": 0, "warning": 0}
    for problem in problems:
        counts[problem.severity] += 1
        if most is None or counts[problem.severity] <= most:
            kept.append(problem)
    for severity, count in counts.items():
        if most is not None and count > most:
            text = f"The table has {count:,} {severity}s; the first {most:,} are listed."
            kept.append(Problem(0, "", text, "Mend what is listed, and have it checked again.", severity))
    return kept
