"""Made-up tables of labels and categories."""

from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st

quick = settings(max_examples=40, deadline=None)


@dataclass(frozen=True)
class Table:
    labels: list[str]
    categories: list[str | None]

    def labels_of(self, batch: list[int]) -> list[str]:
        return [self.labels[row] for row in batch]

    def category(self, label: str) -> str | None:
        return self.categories[self.labels.index(label)]

    def members(self) -> dict[str | None, set[str]]:
        """The labels of each category."""
        return {name: {label for label in self.labels if self.category(label) == name} for name in self.categories}


def table(**sizes: list[int]) -> Table:
    """The sizes of the labels of each category; of category `none`: of none. Rows of labels are interleaved."""
    cells = [
        (sample, f"{name}-{number}", None if name == "none" else name)
        for name, samples in sizes.items()
        for number, size in enumerate(samples)
        for sample in range(size)
    ]
    cells.sort(key=lambda cell: cell[0])
    return Table([label for _, label, _ in cells], [category for _, _, category in cells])


tables = st.builds(
    lambda sizes: table(**dict(zip(["none", "a", "b", "c", "d"], sizes, strict=False))),
    st.lists(st.lists(st.integers(1, 6), max_size=7), min_size=2, max_size=5).filter(lambda sizes: any(sizes[1:])),
)
