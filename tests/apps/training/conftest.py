"""A dataset of drawn photos, made without an import, and its snapshot."""

import hashlib
from collections.abc import Callable

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from apps.accounts.models import Membership, Role, User
from apps.datasets.models import Category, Dataset, Image, Label, Sample, Snapshot
from apps.datasets.services import snapshot_create
from apps.training.models import Run
from apps.training.services import run_create
from mlcore.config import Augment, BalancedSampler, Preprocess, Recipe, ResNet, Triplet
from tests.apps.training.drawing import SIDE, draw

TRAIN_LABELS, VALIDATION_LABELS, PHOTOS = 12, 6, 5

SMALL = Recipe(
    steps=40,
    validate_every=20,
    checkpoint_every=10,
    log_every=1,
    workers=1,
    extractor=ResNet(dimension=32),
    preprocess=Preprocess(size=32),
    augment=Augment(flip=False),
    sampler=BalancedSampler(labels=8, instances=3),
    loss=Triplet(),
)

Photos = Callable[..., list[Sample]]


@pytest.fixture
def manager(user: User) -> User:
    """Whose datasets these are."""
    return user


@pytest.fixture
def dataset(manager: User) -> Dataset:
    dataset = Dataset.objects.create(name="Marks", created_by=manager)
    Membership.objects.create(user=manager, dataset=dataset, role=Role.MANAGER)
    return dataset


@pytest.fixture
def photos(dataset: Dataset) -> Photos:
    """Adds drawn samples of one label: `photos(3, "train")`."""

    def add(
        label: int, split: str, *, count: int = PHOTOS, drawn_as: int | None = None, boxed: bool = False
    ) -> list[Sample]:
        category, _ = Category.objects.get_or_create(dataset=dataset, name=f"group {label % 2}")
        row, _ = Label.objects.get_or_create(dataset=dataset, name=f"mark {label:02}", defaults={"category": category})
        held_out = split == "validation"
        box = {"x_1": 1, "y_1": 1, "x_2": SIDE - 1, "y_2": SIDE - 1} if boxed else {}
        samples = []
        for photo in range(count):
            data = draw(label if drawn_as is None else drawn_as, photo)
            sha256 = hashlib.sha256(data).hexdigest()
            image, _ = Image.objects.get_or_create(
                sha256=sha256,
                defaults={"width": SIDE, "height": SIDE, "format": "PNG", "size_bytes": len(data)},
            )
            if not default_storage.exists(image.key):
                default_storage.save(image.key, ContentFile(data))
            samples.append(
                Sample(
                    dataset=dataset,
                    image=image,
                    label=row,
                    category=category,
                    path=f"{label}/{photo}-{split}.png",
                    split=split,
                    is_query=held_out,
                    is_gallery=held_out,
                    **box,
                )
            )
        return Sample.objects.bulk_create(samples)

    return add


@pytest.fixture
def snapshot(dataset: Dataset, photos: Photos, manager: User) -> Snapshot:
    """12 labels to train on, 6 others to validate on, 5 photos of each."""
    for label in range(TRAIN_LABELS):
        photos(label, "train")
    for label in range(TRAIN_LABELS, TRAIN_LABELS + VALIDATION_LABELS):
        photos(label, "validation")
    return snapshot_create(dataset=dataset, user=manager)


@pytest.fixture
def run(snapshot: Snapshot, manager: User) -> Run:
    """A queued run of the small recipe."""
    return run_create(snapshot=snapshot, preset="quick", recipe=SMALL, name="first", user=manager)


@pytest.fixture
def viewer(dataset: Dataset) -> User:
    viewer = User.objects.create_user("vera", password="correct horse battery")
    Membership.objects.create(user=viewer, dataset=dataset, role=Role.VIEWER)
    return viewer
