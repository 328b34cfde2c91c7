"""What the database says of versions and indexes, kept for a moment and through the database's absences."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import structlog
from django.db import DatabaseError, InterfaceError, close_old_connections
from numpy.typing import NDArray

from apps.datasets.models import Category, Label, Sample
from apps.search.inference.problems import Away, Unknown, Unusable
from apps.search.models import Index
from apps.zoo.models import ModelVersion

log = structlog.get_logger(__name__)

FRESH_SECONDS = 2.0  # a new active index is seen at most this much later
AWAY = Away("The database does not answer.", "Try again in a moment.")
T = TypeVar("T")


@dataclass(frozen=True)
class IndexFacts:
    pk: int
    folder_key: str
    sha256: str  # of index.faiss
    count: int


@dataclass(frozen=True)
class VersionFacts:
    """A version as its row says, with its active index."""

    pk: int
    name: str  # "Grocery v3", for people
    dataset_id: int
    folder_key: str
    weights_sha256: str
    space: str
    dimension: int
    index: IndexFacts | None


class Catalogue:
    """Reads rows. Its methods block, and belong in a thread."""

    def __init__(self, fresh_seconds: float = FRESH_SECONDS) -> None:
        self.fresh_seconds = fresh_seconds
        self._known: dict[int, tuple[float, VersionFacts]] = {}

    def recent(self, pk: int) -> VersionFacts | None:
        """The version where it was read a moment ago. Does not block."""
        read_at, facts = self._known.get(pk, (0.0, None))
        return facts if facts is not None and time.monotonic() - read_at < self.fresh_seconds else None

    def version(self, pk: int) -> VersionFacts:
        """The version, or what was last read of it where the database is away. Raises Unknown, Away."""
        try:
            facts = _query(lambda: _read(pk))
        except Away:
            if pk not in self._known:
                raise
            log.warning("database away: the last known version is used", version_id=pk)
            facts = self._known[pk][1]
        if facts is None:
            self._known.pop(pk, None)
            raise Unknown(f"There is no model version {pk}.", "It may have been deleted. Choose another one.")
        self._known[pk] = (time.monotonic(), facts)
        return facts

    def allowed(self, dataset_id: int, category: str | None, label: str | None) -> NDArray[np.int64]:
        """The ids of the samples that have this category and label now. Raises Unusable for a name that is unknown."""
        return _query(lambda: _allowed(dataset_id, category, label))


def _query(read: Callable[[], T]) -> T:
    close_old_connections()
    try:
        return read()
    except (DatabaseError, InterfaceError) as error:
        log.warning("database error", error=str(error).strip())
        raise AWAY from error
    finally:
        close_old_connections()


def _read(pk: int) -> VersionFacts | None:
    version = ModelVersion.objects.select_related("model").filter(pk=pk).first()
    if version is None:
        return None
    index = Index.objects.select_related("embedding_set").filter(version=version, is_active=True).first()
    return VersionFacts(
        pk=version.pk,
        name=str(version),
        dataset_id=version.model.dataset_id,
        folder_key=version.folder_key,
        weights_sha256=version.weights_sha256,
        space=version.space,
        dimension=version.dimension,
        index=None
        if index is None
        else IndexFacts(index.pk, index.folder_key, index.sha256, index.embedding_set.count),
    )


def _allowed(dataset_id: int, category: str | None, label: str | None) -> NDArray[np.int64]:
    samples = Sample.objects.filter(dataset_id=dataset_id)
    if category is not None:
        found = Category.objects.filter(dataset_id=dataset_id, name=category).first()
        if found is None:
            raise Unusable(f"The dataset has no category {category!r}.", "Names are exact, capitals included.")
        samples = samples.filter(category=found)
    if label is not None:
        named = Label.objects.filter(dataset_id=dataset_id, name=label).first()
        if named is None:
            raise Unusable(f"The dataset has no label {label!r}.", "Names are exact, capitals included.")
        samples = samples.filter(label=named)
    return np.fromiter(samples.values_list("pk", flat=True).iterator(chunk_size=10_000), dtype=np.int64)
