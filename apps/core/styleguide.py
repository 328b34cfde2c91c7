"""What the style guide shows: plain objects with the attributes that the components read."""

import math
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.templatetags.static import static
from django.utils import timezone

METRICS = {"cmc@1": 0.8911, "cmc@5": 0.9702, "precision@5": 0.7714, "map@5": 0.8126, "map@r": 0.4687, "mrr": 0.9254}
UNTRAINED = {"cmc@1": 0.4124, "cmc@5": 0.6833, "precision@5": 0.3391, "map@5": 0.3702, "map@r": 0.1218, "mrr": 0.5312}
PROBLEMS: list[dict[str, Any]] = [
    {
        "row": 7,
        "column": "path",
        "message": "images/mug_0031.jpg is not in the zip.",
        "remedy": "Add the file, or take the row out.",
        "severity": "error",
    },
    {
        "row": 212,
        "column": "x_2",
        "message": "The box ends at x = 1,944, outside the image, which is 1,920 wide.",
        "remedy": "Give boxes in pixels of the image after its EXIF rotation.",
        "severity": "error",
    },
    {
        "row": None,
        "column": "label",
        "message": "14 labels have one sample: a sampler cannot form a pair of them.",
        "remedy": "Add photos, or leave them out of the training.",
        "severity": "warning",
    },
]
ICONS = (
    "menu images upload search play report box jobs tag snapshot check cross warn info chevron copy plus trash key "
    "system sun moon"
)
COLOURS = (
    "bg surface sunken hover line line-strong line-control muted text accent accent-soft "
    "ok ok-soft warn warn-soft bad bad-soft info info-soft"
)
CURL = """curl http://127.0.0.1:8000/api/v1/search \\
  -H "Authorization: Bearer kd_4f1c….…" \\
  -F image=@mug.jpg -F k=10"""


@dataclass(frozen=True)
class Sample:
    """What the tile reads of a `datasets.Sample`. Its key is no number, so that no page has a link to it."""

    pk: str
    label: str | None
    picture: str
    split: str = "validation"
    is_query: bool = False
    is_gallery: bool = False

    @property
    def thumb_url(self) -> str:
        return static(f"img/styleguide/{self.picture}.svg")


@dataclass(frozen=True)
class Neighbour:
    sample: Sample
    score: float
    hit: bool | None


@dataclass(frozen=True)
class Job:
    """What the job bar reads of a `jobs.Job`. Its key stands for no job, and no link or button leads to one."""

    pk: int | str
    title: str
    state: str
    progress_done: int = 0
    progress_total: int = 0
    progress_unit: str = ""
    stage: str = ""
    position: int | None = None
    attempt: int = 1
    cancel_requested: bool = False
    error: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None


@dataclass(frozen=True)
class Error:
    title: str
    detail: str
    remedy: str
    extra: dict[str, Any] = field(default_factory=dict)


class ExampleForm(forms.Form):
    """One field of each kind, as `components/field.html` shows them."""

    name = forms.CharField(max_length=120, help_text="People will look for it under this name.")
    preset = forms.ChoiceField(choices=[("quick", "Quick: about 2 min"), ("balanced", "Balanced: about 12 min")])
    steps = forms.IntegerField(min_value=1, max_value=100_000, initial=400, help_text="Batches to train on.")
    notes = forms.CharField(required=False, widget=forms.Textarea(attrs={"rows": 2}))
    publish = forms.BooleanField(required=False, label="Publish it when it has ended")


def samples() -> list[Sample]:
    rows: list[tuple[str | None, str, str, bool, bool]] = [
        ("red mug, cream band", "mug-red-1", "train", False, False),
        ("red mug, cream band", "mug-red-2", "validation", True, True),
        ("red mug, cream band", "mug-red-3", "validation", True, False),
        ("blue mug, pale band", "mug-blue-1", "validation", False, True),
        ("blue mug, pale band", "mug-blue-2", "validation", False, False),
        ("green bottle", "bottle-1", "train", False, False),
        ("green bottle", "bottle-2", "train", False, False),
        (None, "lamp-1", "", False, False),
    ]
    return [Sample(f"example-{i}", *row) for i, row in enumerate(rows, start=1)]


def neighbours(shown: list[Sample], *, judged: bool) -> list[Neighbour]:
    scores = {2: 0.941, 0: 0.913, 3: 0.874, 4: 0.802, 5: 0.411, 7: 0.12}
    return [Neighbour(shown[i], score, i in (0, 2) if judged else None) for i, score in scores.items()]


def jobs() -> list[Job]:
    now = timezone.now()
    began = now - timedelta(seconds=96)
    return [
        Job("example-1", "Train triplet-resnet18 on grocery", "queued", position=2),
        Job(
            "example-2", "Import grocery.zip", "running", 1840, 2936, "files", "Decoding and hashing", started_at=began
        ),
        Job(
            "example-3",
            "Train arcface-resnet18 on grocery",
            "running",
            stage="Loading the weights",
            started_at=began,
            attempt=2,
        ),
        Job(
            "example-4",
            "Embed grocery with mugs v3",
            "running",
            512,
            2936,
            "samples",
            cancel_requested=True,
            started_at=began,
        ),
        Job("example-5", "Evaluate run 12", "succeeded", started_at=began, finished_at=now),
        Job(
            "example-6",
            "Train vit on omniglot",
            "failed",
            error="The process ended three times without an answer; the last time the kernel killed it for memory.",
            started_at=began,
            finished_at=now,
        ),
        Job("example-7", "Index mugs v2", "cancelled", started_at=began, finished_at=now),
    ]


def curves() -> list[dict[str, Any]]:
    """A training as it often goes: a falling loss, a rising CMC@1."""
    steps = range(0, 400, 10)
    loss = [[s, round(0.9 * math.exp(-s / 110) + 0.12 + 0.03 * math.sin(s * 0.7), 4)] for s in steps]
    cmc = [[s, round(0.41 + 0.48 * (1 - math.exp(-s / 90)), 4)] for s in range(0, 400, 50)]
    return [
        {"name": "loss", "label": "Loss", "unit": "", "points": loss},
        {"name": "cmc@1", "label": "CMC@1", "unit": "%", "points": cmc},
    ]


def bins() -> list[dict[str, Any]]:
    """Distances of pairs: of one label (left) and of two (right)."""
    width = 0.05

    def bell(at: float, middle: float, spread: float, height: int) -> int:
        return round(height * math.exp(-(((at - middle) / spread) ** 2) / 2))

    return [
        {
            "low": round(i * width, 2),
            "high": round((i + 1) * width, 2),
            "count": bell(i * width, 0.28, 0.12, 900),
            "count_other": bell(i * width, 0.78, 0.14, 1400),
        }
        for i in range(24)
    ]


def context() -> dict[str, Any]:
    shown = samples()
    return {
        "breadcrumbs": [("Datasets", "/"), ("Grocery", "/"), ("Style guide", "")],
        "samples": shown,
        "query": shown[1],
        "judged": neighbours(shown, judged=True),
        "found": neighbours(shown, judged=False),
        "jobs": jobs(),
        "states": ["queued", "running", "succeeded", "failed", "cancelled", "draft", "published", "retired"],
        "metrics": [(name, value, UNTRAINED[name]) for name, value in METRICS.items()],
        "spark": [0.41, 0.55, 0.61, 0.7, 0.69, 0.78, 0.83, 0.82, 0.87, 0.89],
        "bins": bins(),
        "problems": PROBLEMS,
        "error": Error(
            "That cannot be done",
            "The snapshot has two labels in its train split; a balanced batch needs at least four.",
            "Import more labels, or move some from validation to train, and take a new snapshot.",
        ),
        "form": ExampleForm(),
        "bad_form": ExampleForm({"name": "", "preset": "quick", "steps": "0", "notes": ""}),
        "curl": CURL,
        "earlier": timezone.now() - timedelta(minutes=5),
        "icons": ICONS.split(),
        "colours": COLOURS.split(),
    }
