"""What the tests of the zoo and the search are about: small drawn datasets, a real network with random weights."""

import hashlib
import io
import random
import tempfile
from functools import lru_cache
from pathlib import Path

import torch
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from PIL import Image as Pillow
from PIL import ImageDraw

from apps.accounts.models import Membership, Role, User
from apps.datasets.models import Category, Dataset, Image, Label, Sample, Snapshot, Split
from apps.datasets.services import snapshot_create
from apps.jobs.models import Job
from apps.training.models import Run
from apps.zoo.models import Model, ModelVersion
from apps.zoo.services import version_create
from mlcore.config import Preprocess, ResNet
from mlcore.extractors import build_extractor
from mlcore.model import save_model

SIDE = 48  # pixels
METRICS = {"cmc@1": 0.75, "precision@5": 0.5, "map@r": 0.4}


def draw(label: int, take: int) -> bytes:
    """A PNG of one of a label's shapes, each take a little different."""
    rng = random.Random(f"{label}-{take}")  # noqa: S311
    hue = tuple((label * 97 + channel * 71) % 200 for channel in range(3))
    image = Pillow.new("RGB", (SIDE, SIDE), (230, 228, 224))
    x, y = rng.randrange(2, 14), rng.randrange(2, 14)
    shape = ImageDraw.Draw(image)
    (shape.ellipse if label % 2 else shape.rectangle)((x, y, x + 28, y + 16 + 2 * label), fill=hue)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def make_dataset(name: str, user: User, role: Role = Role.MANAGER, labels: int = 4, takes: int = 3) -> Dataset:
    """A dataset of `labels` x `takes` drawn samples in two categories, all of them query and gallery."""
    dataset = Dataset.objects.create(name=name, created_by=user)
    Membership.objects.create(user=user, dataset=dataset, role=role)
    for number in range(labels):
        category, _ = Category.objects.get_or_create(dataset=dataset, name=["boxes", "discs"][number % 2])
        label = Label.objects.create(dataset=dataset, name=f"label {number}", category=category)
        for take in range(takes):
            add_sample(dataset, draw(number, take), label=label, path=f"{number}/{take}.png")
    return dataset


def add_sample(
    dataset: Dataset, data: bytes, *, label: Label, path: str, box: tuple[int, int, int, int] | None = None
) -> Sample:
    sha256 = hashlib.sha256(data).hexdigest()
    with Pillow.open(io.BytesIO(data)) as photo:
        width, height = photo.size
    image, created = Image.objects.get_or_create(
        sha256=sha256, defaults={"width": width, "height": height, "format": "PNG", "size_bytes": len(data)}
    )
    if created:
        default_storage.save(image.key, ContentFile(data))
    x_1, y_1, x_2, y_2 = box or (None, None, None, None)
    return Sample.objects.create(
        dataset=dataset,
        image=image,
        label=label,
        category=label.category,
        path=path,
        split=Split.VALIDATION,
        is_query=True,
        is_gallery=True,
        x_1=x_1,
        y_1=y_1,
        x_2=x_2,
        y_2=y_2,
    )


@lru_cache
def model_files(seed: int = 0) -> dict[str, bytes]:
    """`config.json` and `weights.safetensors` of an untrained network."""
    torch.manual_seed(seed)
    extractor, preprocess = ResNet(dimension=16), Preprocess(size=32)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_model(folder, build_extractor(extractor, size=preprocess.size), extractor, preprocess)
        return {path.name: path.read_bytes() for path in folder.iterdir()}


def make_model(dataset: Dataset, name: str = "shapes") -> Model:
    return Model.objects.create(name=name, dataset=dataset)


def make_snapshot(dataset: Dataset) -> Snapshot:
    user = dataset.created_by
    assert user is not None
    return snapshot_create(dataset=dataset, user=user)


def make_version(model: Model, user: User, *, seed: int = 0, snapshot: Snapshot | None = None) -> ModelVersion:
    """A draft with real files."""
    snapshot = snapshot or Snapshot.objects.filter(dataset=model.dataset).last() or make_snapshot(model.dataset)
    return version_create(model=model, snapshot=snapshot, folder=model_files(seed), metrics=METRICS, user=user)


def make_run(version: ModelVersion) -> Run:
    """The run that made a version, with what the network could do before."""
    snapshot = version.snapshot
    return Run.objects.create(
        name="first run",
        dataset=snapshot.dataset,
        snapshot=snapshot,
        preset="quick",
        recipe={},
        job=Job.objects.create(kind="train", title="t", dataset=snapshot.dataset),
        model_version=version,
        untrained_metrics={"cmc@1": 0.1},
    )
