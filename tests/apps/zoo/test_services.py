"""The state machine of versions, aliases with their history, and what is refused."""

import hashlib
import json
import pickle
import threading

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection

from apps.accounts.models import Membership, Role, User
from apps.core.errors import BadInput, Conflict, Forbidden
from apps.datasets.models import Dataset
from apps.zoo import services
from apps.zoo.files import folder_read
from apps.zoo.models import Alias, AliasMove, Model, ModelVersion
from apps.zoo.selectors import champion_of
from tests.apps.zoo.making import METRICS, make_dataset, make_model, make_snapshot, make_version, model_files

State = ModelVersion.State


def test_create_copies_the_files_and_reads_the_config(version: ModelVersion) -> None:
    config = json.loads(model_files()["config.json"])
    assert (version.number, version.state, version.metrics) == (1, State.DRAFT, METRICS)
    assert (version.space, version.dimension, version.weights_sha256) == (config["space"], 16, config["weights_sha256"])
    assert version.folder_key == f"models/{version.model_id}/1"
    assert folder_read(version.folder_key) == model_files()
    assert version.size_bytes == sum(map(len, model_files().values()))


def test_create_from_a_folder_of_the_storage_gives_the_next_number(version: ModelVersion, user: User) -> None:
    second = services.version_create(
        model=version.model, snapshot=version.snapshot, folder=version.folder_key, metrics={}, user=user
    )
    assert second.number == 2
    assert folder_read(second.folder_key) == model_files()


def test_create_replaces_what_a_broken_off_attempt_left(model: Model, user: User) -> None:
    key = f"models/{model.pk}/1/weights.safetensors"
    default_storage.save(key, ContentFile(b"half"))
    version = make_version(model, user)
    assert folder_read(version.folder_key) == model_files()


def test_weights_that_are_not_the_configs_are_refused(model: Model, user: User) -> None:
    files = model_files()
    altered = files["weights.safetensors"][:-1] + bytes([files["weights.safetensors"][-1] ^ 1])
    with pytest.raises(BadInput, match="checksum"):
        services.version_create(
            model=model,
            snapshot=make_snapshot(model.dataset),
            folder={**files, "weights.safetensors": altered},
            metrics={},
            user=user,
        )
    assert not ModelVersion.objects.exists()
    assert not default_storage.exists(f"models/{model.pk}/1/weights.safetensors")


class Trap:
    sprung = False

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (setattr, (Trap, "sprung", True))


def test_a_pickle_that_poses_as_weights_is_refused_unread(model: Model, user: User) -> None:
    weights = pickle.dumps(Trap())
    config = json.loads(model_files()["config.json"]) | {"weights_sha256": hashlib.sha256(weights).hexdigest()}
    files = {"config.json": json.dumps(config).encode(), "weights.safetensors": weights}
    with pytest.raises(BadInput, match="not a safetensors file"):
        services.version_create(model=model, snapshot=make_snapshot(model.dataset), folder=files, metrics={}, user=user)
    assert not Trap.sprung


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"config.json": b"{}"}, "lacks weights.safetensors"),
        ({"config.json": b"{}", "weights.safetensors": b""}, "is not a model's"),
        ({"config.json": b"nonsense", "weights.safetensors": b""}, "is not a model's"),
    ],
)
def test_a_folder_that_is_no_model_is_refused(model: Model, user: User, files: dict[str, bytes], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        services.version_create(model=model, snapshot=make_snapshot(model.dataset), folder=files, metrics={}, user=user)


def test_a_snapshot_of_another_dataset_is_refused(model: Model, user: User) -> None:
    other = make_snapshot(make_dataset("Other", user))
    with pytest.raises(BadInput, match="not of"):
        services.version_create(model=model, snapshot=other, folder=model_files(), metrics={}, user=user)


def test_the_states_are_walked_in_order(version: ModelVersion, user: User) -> None:
    with pytest.raises(Conflict) as caught:
        services.version_retire(version=version, user=user)
    assert caught.value.extra["current"] == State.DRAFT
    assert services.version_publish(version=version, user=user).state == State.PUBLISHED
    with pytest.raises(Conflict, match="already"):
        services.version_publish(version=version, user=user)
    assert services.version_retire(version=version, user=user).state == State.RETIRED
    with pytest.raises(Conflict):
        services.version_retire(version=version, user=user)
    services.version_publish(version=version, user=user)
    assert ModelVersion.objects.get().state == State.PUBLISHED


def test_a_version_in_use_is_not_retired(version: ModelVersion, user: User) -> None:
    services.version_publish(version=version, user=user)
    services.alias_set(model=version.model, name="champion", version=version, user=user)
    services.alias_set(model=version.model, name="stable", version=version, user=user)
    with pytest.raises(Conflict, match="champion, stable"):
        services.version_retire(version=version, user=user)
    services.alias_remove(model=version.model, name="champion", user=user)
    services.alias_remove(model=version.model, name="stable", user=user)
    assert services.version_retire(version=version, user=user).state == State.RETIRED


def test_aliases_keep_their_history(version: ModelVersion, user: User) -> None:
    model, second = version.model, make_version(version.model, user, seed=1)
    for each in (version, second):
        services.version_publish(version=each, user=user)
        services.alias_set(model=model, name="champion", version=each, user=user)
    services.alias_set(model=model, name="champion", version=second, user=user)  # no move
    services.alias_remove(model=model, name="champion", user=user)
    moves = list(AliasMove.objects.order_by("pk").values_list("old_version", "new_version", "moved_by"))
    assert moves == [(None, version.pk, user.pk), (version.pk, second.pk, user.pk), (second.pk, None, user.pk)]
    with pytest.raises(Conflict):
        services.alias_remove(model=model, name="champion", user=user)


def test_an_alias_points_to_a_published_version_of_its_own_model(version: ModelVersion, user: User) -> None:
    model = version.model
    with pytest.raises(Conflict, match="draft"):
        services.alias_set(model=model, name="champion", version=version, user=user)
    services.version_publish(version=version, user=user)
    other = make_model(model.dataset, "others")
    with pytest.raises(BadInput, match="not a version of"):
        services.alias_set(model=other, name="champion", version=version, user=user)
    for name in ("two words", "", "a" * 51):
        with pytest.raises(BadInput):
            services.alias_set(model=model, name=name, version=version, user=user)
    assert not Alias.objects.exists()


@pytest.mark.parametrize("role", [Role.VIEWER, Role.ANNOTATOR])
def test_only_managers_move_versions(version: ModelVersion, other_user: User, role: Role) -> None:
    Membership.objects.create(user=other_user, dataset=version.model.dataset, role=role)
    for call in (services.version_publish, services.version_retire):
        with pytest.raises(Forbidden):
            call(version=version, user=other_user)
    with pytest.raises(Forbidden):
        services.version_notes_set(version=version, notes="mine", user=other_user)
    with pytest.raises(Forbidden):
        services.alias_remove(model=version.model, name="champion", user=other_user)


def test_the_champion_of_a_dataset_is_the_one_named_last(version: ModelVersion, dataset: Dataset, user: User) -> None:
    assert champion_of(dataset) is None
    older = make_version(make_model(dataset, "older"), user)
    for each in (older, version):
        services.version_publish(version=each, user=user)
        services.alias_set(model=each.model, name="champion", version=each, user=user)
    assert champion_of(dataset) == version
    services.alias_remove(model=older.model, name="champion", user=user)
    services.alias_set(model=older.model, name="champion", version=older, user=user)
    assert champion_of(dataset) == older
    assert champion_of(make_dataset("Other", user)) is None


@pytest.mark.django_db(transaction=True)
def test_two_publishers_and_one_wins(version: ModelVersion, user: User) -> None:
    outcomes: list[str] = []

    def publish() -> None:
        try:
            services.version_publish(version=ModelVersion.objects.get(pk=version.pk), user=user)
            outcomes.append("published")
        except Conflict:
            outcomes.append("conflict")
        finally:
            connection.close()

    threads = [threading.Thread(target=publish) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["conflict"] * 3 + ["published"]
