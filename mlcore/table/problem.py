"""One fault of a table."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Problem:
    """What is wrong, where, and what to do. `row` as a spreadsheet counts (0: the table as a whole)."""

    row: int
    column: str
    message: str
    remedy: str
    severity: Severity = "error"

    def as_dict(self) -> dict[str, Any]:
        """For JSON: row, column, message, remedy, severity."""
        return asdict(self)

    def __str__(self) -> str:
        where = ", ".join([*([f"row {self.row}"] if self.row else []), *([self.column] if self.column else [])])
        return f"{where}: {self.message} {self.remedy}" if where else f"{self.message} {self.remedy}"
