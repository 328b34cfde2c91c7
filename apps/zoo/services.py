"""The moves of a version from state to state, and of aliases from version to version.

Rows are locked in one order, the model's before its version's, so that an alias cannot be set on a version that is
being retired. The state machine is in `ModelVersion`'s docstring.
"""

from collections.abc import Mapping
from functools import partial

import structlog
from django.core.exceptions import ValidationError
from django.core.validators import validate_slug
from django.db import transaction
from django.db.models import Max

from apps.accounts.models import Role, User
from apps.core.errors import BadInput, Conflict
from apps.core.files import folder_delete
from apps.datasets.models import Dataset, Snapshot
from apps.datasets.selectors.datasets import role_require
from apps.zoo.files import MODEL_FILES, WEIGHTS, files_check, folder_read, folder_write
from apps.zoo.models import Alias, AliasMove, Model, ModelVersion

log = structlog.get_logger(__name__)

CHAMPION = "champion"
ALIAS_LENGTH_MAX = 50
State = ModelVersion.State


@transaction.atomic
def version_create(
    *, model: Model, snapshot: Snapshot, folder: Mapping[str, bytes] | str, metrics: Mapping[str, float], user: User
) -> ModelVersion:
    """Copies a finished model into the zoo as the next version of `model`, a draft.

    `folder`: its files by name, or the key of a folder in the storage. `metrics`: on the snapshot's validation split.
    Raises BadInput for files that are missing, broken or do not belong together, and for a snapshot of another dataset.
    """
    locked = _lock_model(model.pk)
    if snapshot.dataset_id != locked.dataset_id:
        raise BadInput(f"{snapshot} is not of {locked}'s dataset.", remedy="Make a model of its own for it.")
    files = folder_read(folder) if isinstance(folder, str) else folder
    config = files_check(files)
    number = (locked.versions.aggregate(last=Max("number"))["last"] or 0) + 1
    folder_key = f"models/{locked.pk}/{number}"
    folder_write(folder_key, files)
    version = ModelVersion.objects.create(
        model=locked,
        number=number,
        snapshot=snapshot,
        folder_key=folder_key,
        weights_sha256=config.weights_sha256,
        size_bytes=sum(len(files[name]) for name in MODEL_FILES),
        space=config.space,
        dimension=config.dimension,
        config=config.model_dump(mode="json"),
        metrics=dict(metrics),
        created_by=user,
    )
    log.info("version created", version_id=version.pk, space=version.space, weights_bytes=len(files[WEIGHTS]))
    return version


@transaction.atomic
def version_publish(*, version: ModelVersion, user: User) -> ModelVersion:
    """Lets people and programs use a version. Raises Forbidden, or Conflict when it is published already."""
    locked = _lock(version, user)
    if locked.state == State.PUBLISHED:
        raise Conflict(f"{locked} is published already.", extra={"current": locked.state})
    return _move(version, locked, State.PUBLISHED)


@transaction.atomic
def version_retire(*, version: ModelVersion, user: User) -> ModelVersion:
    """Takes a published version out of use; its files stay. Raises Forbidden, or Conflict: see below.

    Refused for a version that is not published, and while an alias points to it.
    """
    locked = _lock(version, user)
    if locked.state != State.PUBLISHED:
        raise Conflict(
            f"{locked} is {locked.state}; only a published version is retired.", extra={"current": locked.state}
        )
    names = list(locked.aliases.order_by("name").values_list("name", flat=True))
    if names:
        raise Conflict(
            f"{locked} is in use as {', '.join(names)}.",
            remedy="Point the alias to another version, or remove it; then retire this one.",
            extra={"current": locked.state, "aliases": names},
        )
    return _move(version, locked, State.RETIRED)


@transaction.atomic
def version_notes_set(*, version: ModelVersion, notes: str, user: User) -> ModelVersion:
    """Writes the free text of a version's card. Raises Forbidden."""
    locked = _lock(version, user)
    locked.notes = notes.strip()
    locked.save(update_fields=["notes"])
    version.notes = locked.notes
    return version


@transaction.atomic
def alias_set(*, model: Model, name: str, version: ModelVersion, user: User) -> Alias:
    """Points an alias to a published version of its model and keeps the move. Where it points there already: nothing.

    Raises Forbidden; BadInput for a name that is no slug or a version of another model; Conflict for a version that
    is not published.
    """
    name = _alias_name(name)
    if version.model_id != model.pk:
        raise BadInput(f"{version} is not a version of {model}.", remedy="Choose one of its own versions.")
    locked = _lock(version, user)
    if locked.state != State.PUBLISHED:
        raise Conflict(
            f"{locked} is {locked.state}; an alias points to a published version.",
            remedy="Publish it first.",
            extra={"current": locked.state},
        )
    alias = Alias.objects.select_related("version").filter(model=model, name=name).first()
    if alias is not None and alias.version_id == locked.pk:
        return alias
    old = alias.version if alias is not None else None
    if alias is None:
        alias = Alias(model=model, name=name)
    alias.version = locked
    alias.save()
    AliasMove.objects.create(model=model, name=name, old_version=old, new_version=locked, moved_by=user)
    log.info("alias moved", alias=name, model_id=model.pk, version_id=locked.pk)
    return alias


@transaction.atomic
def alias_remove(*, model: Model, name: str, user: User) -> None:
    """Takes an alias away and keeps that as a move to nothing. Raises Forbidden, or Conflict when it is gone."""
    locked = _lock_model(model.pk)
    role_require(user=user, dataset=locked.dataset, role=Role.MANAGER)
    alias = Alias.objects.select_related("version").filter(model=locked, name=name).first()
    if alias is None:
        raise Conflict(f"{locked} has no alias {name}.", extra={"current": None})
    AliasMove.objects.create(model=locked, name=name, old_version=alias.version, new_version=None, moved_by=user)
    alias.delete()
    log.info("alias removed", alias=name, model_id=locked.pk)


@transaction.atomic
def models_delete(*, dataset: Dataset) -> None:
    """Deletes a dataset's models, with their versions, aliases and files. Their runs and indexes go first."""
    models = list(Model.objects.filter(dataset=dataset).values_list("pk", flat=True))
    for pk in models:
        transaction.on_commit(partial(folder_delete, f"models/{pk}"), robust=True)
    for rows in (Alias.objects, AliasMove.objects, ModelVersion.objects):
        rows.filter(model__in=models).delete()
    Model.objects.filter(pk__in=models).delete()


def _lock_model(pk: int) -> Model:
    return Model.objects.select_for_update(no_key=True, of=("self",)).select_related("dataset").get(pk=pk)


def _lock(version: ModelVersion, user: User) -> ModelVersion:
    """The version as it is now, locked together with its model, for somebody who may change it."""
    model = _lock_model(version.model_id)
    role_require(user=user, dataset=model.dataset, role=Role.MANAGER)
    locked = ModelVersion.objects.select_for_update(no_key=True).get(pk=version.pk)
    locked.model = model
    return locked


def _move(version: ModelVersion, locked: ModelVersion, state: ModelVersion.State) -> ModelVersion:
    locked.state = state
    locked.save(update_fields=["state"])
    version.state = state  # what the caller holds says the same
    log.info("version moved", version_id=locked.pk, state=str(state))
    return version


def _alias_name(name: str) -> str:
    name = name.strip()
    try:
        validate_slug(name)
    except ValidationError:
        raise BadInput(f"{name!r} is no name for an alias.", remedy="Use letters, digits, - and _.") from None
    if len(name) > ALIAS_LENGTH_MAX:
        raise BadInput(f"The alias has {len(name)} characters.", remedy=f"Use at most {ALIAS_LENGTH_MAX}.")
    return name
