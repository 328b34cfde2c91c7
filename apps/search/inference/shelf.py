"""The models and indexes in memory: fetched from the storage when first asked for, verified, and the least used let go.

What is in memory serves on when its files vanish; what is not, cannot be fetched then, and that is said.
"""

import hashlib
import tempfile
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from django.core.files.storage import default_storage

from apps.core.errors import BadInput
from apps.search.inference.catalogue import IndexFacts, VersionFacts
from apps.search.inference.problems import Away
from apps.zoo.files import folder_read
from mlcore.engine import pick_device
from mlcore.errors import InputError, SpaceMismatch
from mlcore.index import IDS, MANIFEST, VECTORS, FlatIndex
from mlcore.model import Embedder, load_model

log = structlog.get_logger(__name__)

MODELS_HELD = 4
INDEXES_HELD = 8
RETRY_SECONDS = 10.0  # before a file that could not be read is tried again while an older index serves


@dataclass(frozen=True)
class HeldIndex:
    pk: int
    index: FlatIndex


class Shelf:
    """`model` and `index` block, and are for one thread, the loader's. `peek_*` may be called from anywhere."""

    def __init__(self, models_held: int = MODELS_HELD, indexes_held: int = INDEXES_HELD) -> None:
        self.models_held = models_held
        self.indexes_held = indexes_held
        self.models: OrderedDict[int, Embedder] = OrderedDict()  # by version, least used first
        self.indexes: OrderedDict[int, HeldIndex] = OrderedDict()  # by version, least used first
        self.problems: dict[str, str] = {}  # what could not be read -> why; for /health and its alert
        self._failed: dict[int, float] = {}  # index -> when
        self._lock = threading.Lock()  # around every change of the order of use
        self.device = pick_device(None)

    def peek_model(self, facts: VersionFacts) -> Embedder | None:
        """The model, if it is here. Does not block."""
        with self._lock:
            if facts.pk in self.models:
                self.models.move_to_end(facts.pk)
            return self.models.get(facts.pk)

    def peek_index(self, facts: VersionFacts) -> FlatIndex | None:
        """The active index, if it is here, or the one before while the new one cannot be read. Does not block."""
        with self._lock:
            held = self.indexes.get(facts.pk)
            if held is None or facts.index is None:
                return None
            self.indexes.move_to_end(facts.pk)
        if held.pk == facts.index.pk:
            return held.index
        failed_at = self._failed.get(facts.index.pk)
        return held.index if failed_at is not None and time.monotonic() - failed_at < RETRY_SECONDS else None

    def model(self, facts: VersionFacts) -> Embedder:
        """The model of a version. Raises Away where its files are gone, altered, or of another space."""
        embedder = self.models.get(facts.pk)
        if embedder is None:
            embedder = self._fetch_model(facts)
        with self._lock:
            self.models[facts.pk] = embedder
            self.models.move_to_end(facts.pk)
            while len(self.models) > self.models_held:
                log.info("model let go", version_id=self.models.popitem(last=False)[0])
        return embedder

    def index(self, facts: VersionFacts) -> FlatIndex:
        """The active index of a version, or the one held before it where that cannot be read. Raises Away."""
        if facts.index is None:
            raise Away(f"{facts.name} has no search index.", "Build it on the page of the version.")
        held = self.indexes.get(facts.pk)
        if held is None or held.pk != facts.index.pk:
            try:
                held = HeldIndex(facts.index.pk, self._fetch_index(facts, facts.index))
            except Away:
                self._failed[facts.index.pk] = time.monotonic()
                if held is None:
                    raise
                log.error("the new index cannot be read: the old one serves on", version_id=facts.pk, held=held.pk)
        with self._lock:
            self.indexes[facts.pk] = held
            self.indexes.move_to_end(facts.pk)
            while len(self.indexes) > self.indexes_held:
                log.info("index let go", version_id=self.indexes.popitem(last=False)[0])
        return held.index

    def forget(self, version: int) -> None:
        """Lets go of a version that was deleted, and of what was wrong with it. Does not block."""
        with self._lock:
            self.models.pop(version, None)
            self.indexes.pop(version, None)
        for key in (f"model {version}", f"index {version}"):
            self.problems.pop(key, None)

    def report(self) -> dict[str, Any]:
        """What is held and what is wrong, for /health."""
        return {
            "device": self.device,
            "models": [{"version": pk, "space": model.space} for pk, model in list(self.models.items())],
            "indexes": [
                {"version": pk, "index": held.pk, "count": len(held.index)} for pk, held in list(self.indexes.items())
            ],
            "problems": list(self.problems.values()),
        }

    def _fetch_model(self, facts: VersionFacts) -> Embedder:
        began = time.monotonic()
        try:
            with tempfile.TemporaryDirectory(prefix="kindred-model-") as folder:
                for name, data in folder_read(facts.folder_key).items():
                    (Path(folder) / name).write_bytes(data)
                try:
                    embedder = load_model(Path(folder), self.device)
                except InputError as error:  # people know the key in the storage, not where it was copied to
                    raise InputError(error.message.replace(folder, facts.folder_key)) from error
            if (embedder.space, embedder.dimension) != (facts.space, facts.dimension):
                raise InputError(f"they are of space {embedder.space}, the version is of {facts.space}.")
            if embedder.config is None or embedder.config.weights_sha256 != facts.weights_sha256:
                raise InputError("their checksum is not the version's.")
        except (InputError, BadInput, OSError, RuntimeError) as error:
            raise self._broken(f"model {facts.pk}", f"The files of {facts.name} cannot be used", error) from error
        self.problems.pop(f"model {facts.pk}", None)
        log.info("model loaded", version_id=facts.pk, seconds=round(time.monotonic() - began, 3), device=self.device)
        return embedder

    def _fetch_index(self, facts: VersionFacts, index: IndexFacts) -> FlatIndex:
        began = time.monotonic()
        try:
            files: dict[str, bytes] = {}
            for name in (VECTORS, IDS, MANIFEST):
                with default_storage.open(f"{index.folder_key}/{name}") as file:
                    files[name] = file.read()
            if hashlib.sha256(files[VECTORS]).hexdigest() != index.sha256:
                raise InputError(f"{VECTORS} does not have the checksum of its row.")
            loaded = FlatIndex.from_files(files, space=facts.space)
        except (InputError, SpaceMismatch, OSError, RuntimeError) as error:
            raise self._broken(f"index {facts.pk}", f"The index of {facts.name} cannot be used", error) from error
        self.problems.pop(f"index {facts.pk}", None)
        log.info("index loaded", version_id=facts.pk, index_id=index.pk, seconds=round(time.monotonic() - began, 3))
        return loaded

    def _broken(self, key: str, words: str, error: Exception) -> Away:
        reason = "a file is gone." if isinstance(error, FileNotFoundError) else str(error)
        text = f"{words}: {reason}"
        self.problems[key] = text
        log.error("files cannot be used", what=key, reason=reason)
        remedy = (
            "Build the index again." if key.startswith("index") else "Restore the files, or publish another version."
        )
        return Away(text.rstrip(".") + ".", remedy)
