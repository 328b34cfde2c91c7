"""Two datasets with something of everything: one that `ada` may see, one that she may not."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import Membership, Role, User
from apps.accounts.tokens import SCOPES, token_create
from apps.datasets.models import Category, Dataset, Image, Label, Sample, Snapshot
from apps.jobs.models import Job
from apps.training.models import Run
from apps.zoo.models import Alias, Model, ModelVersion

SPACE = "space-one"
DIMENSION = 8


@dataclass
class World:
    """One dataset and what hangs on it."""

    dataset: Dataset
    label: Label
    sample: Sample
    model: Model
    version: ModelVersion
    run: Run
    job: Job

    def id_of(self, noun: str) -> int:
        return int(getattr(self, noun.removesuffix("s")).pk)


def samples_make(dataset: Dataset, label: Label, count: int) -> list[Sample]:
    first = Image.objects.count()
    return [
        Sample.objects.create(
            dataset=dataset,
            image=Image.objects.create(sha256=f"{first + n:064x}", width=8, height=8, format="PNG", size_bytes=9),
            label=label,
            category=label.category,
            path=f"{n}.png",
            split="validation",
            is_query=True,
        )
        for n in range(count)
    ]


def world_make(name: str) -> World:
    dataset = Dataset.objects.create(name=name)
    category = Category.objects.create(dataset=dataset, name="plates")
    label = Label.objects.create(dataset=dataset, name="P-1", category=category)
    sample = samples_make(dataset, label, 1)[0]
    job = Job.objects.create(kind="train", title="Train", dataset=dataset)
    snapshot = Snapshot.objects.create(dataset=dataset, number=1, manifest_key="snapshots/none", sha256="0" * 64)
    model = Model.objects.create(name=f"model of {name}", dataset=dataset)
    version = ModelVersion.objects.create(
        model=model,
        number=1,
        state=ModelVersion.State.PUBLISHED,
        snapshot=snapshot,
        folder_key="models/none",
        weights_sha256="0" * 64,
        size_bytes=1,
        space=SPACE,
        dimension=DIMENSION,
    )
    Alias.objects.create(model=model, name="champion", version=version)
    run = Run.objects.create(name="run", dataset=dataset, snapshot=snapshot, preset="quick", recipe={}, job=job)
    return World(dataset, label, sample, model, version, run, job)


@pytest.fixture
def mine(user: User) -> World:
    world = world_make("mine")
    Membership.objects.create(user=user, dataset=world.dataset, role=Role.MANAGER)
    return world


@pytest.fixture
def foreign(other_user: User) -> World:
    world = world_make("foreign")
    Membership.objects.create(user=other_user, dataset=world.dataset, role=Role.MANAGER)
    return world


@pytest.fixture
def set_role(user: User) -> Callable[[World, Role], None]:
    def change(world: World, role: Role) -> None:
        Membership.objects.filter(user=user, dataset=world.dataset).update(role=role)

    return change


class Api:
    """A program with a token."""

    def __init__(self, text: str) -> None:
        self.client = Client(headers={"Authorization": f"Bearer {text}"} if text else {}, raise_request_exception=False)

    def get(self, path: str, **query: Any) -> Any:
        return self.client.get(f"/api/{path}", query or None)

    def send(self, method: str, path: str, body: Any = None) -> Any:
        return getattr(self.client, method)(f"/api/{path}", body, content_type="application/json")

    def post(self, path: str, body: Any = None) -> Any:
        return self.send("post", path, body)

    def patch(self, path: str, body: Any = None) -> Any:
        return self.send("patch", path, body)


@pytest.fixture
def api_with(user: User) -> Callable[..., Api]:
    """A program that has a token of `ada` with these scopes."""

    def make(*scopes: str) -> Api:
        return Api(token_create(user=user, name="test", scopes=list(scopes), days=1)[1])

    return make


@pytest.fixture
def api(api_with: Callable[..., Api]) -> Api:
    """A program that may do all that `ada` may."""
    return api_with(*SCOPES)


@pytest.fixture
def nobody() -> Api:
    return Api("")


def assert_problem(response: Any, status: int, *words: str) -> dict[str, Any]:
    """The answer is an RFC 9457 problem document that says these words."""
    assert response.status_code == status, response.content
    assert response.headers["Content-Type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    assert body["type"] == "about:blank"
    for word in words:
        assert word in response.content.decode()
    return body
