"""The form of a new run.

The complete recipe travels with it as text, and so does the one that the page was drawn from (`base`). Whatever
differs from it is what the person changed, knob or text, with or without JavaScript. The size of a batch is the
preset's, or the nearest that the train split can fill, until the person changes it (`own`: the knobs so changed).

A recipe taken over from a run may have begun at no preset that is offered; then none is chosen until the person does.
"""

from collections.abc import Collection, Iterable
from typing import Any

from django import forms

from apps.datasets.models import Dataset, Snapshot
from apps.training import recipes
from apps.training.selectors import SHOWN_PRESETS
from mlcore.config import PRESETS, Recipe
from mlcore.table import Note, TrainFacts

NOW = "now"  # a snapshot of the dataset's current state, made when the run starts
SNAPSHOTS_SHOWN = 50
KNOBS = ("steps", "size", "arch", "dimension", "loss", "lr", "labels", "instances", "seed", "statistics")


class RunForm(forms.Form):
    name = forms.CharField(max_length=120, required=False, help_text="Empty: the dataset and the preset.")
    snapshot = forms.ChoiceField(help_text="What is trained on: a frozen copy of the table.")
    preset = forms.ChoiceField(
        choices=[(name, name) for name in SHOWN_PRESETS], widget=forms.RadioSelect, required=False
    )
    steps = forms.IntegerField(min_value=1, max_value=10_000_000, help_text="Batches to train on.")
    size = forms.IntegerField(min_value=16, max_value=1024, label="Photo size", help_text="Side in pixels, 16 to 1024.")
    arch = forms.ChoiceField(choices=recipes.ARCHES, label="Network")
    statistics = forms.TypedChoiceField(
        choices=[(True, "beside the network's features"), (False, "none")],
        coerce=lambda value: value == "True",
        empty_value=None,
        label="Colours and edges",
        help_text="Statistics of the photo, not learned. They help a network from scratch on few labels. Not tried "
        "with pretrained weights or thousands of labels: compare. Jitter of colours works against them.",
    )
    dimension = forms.IntegerField(min_value=1, max_value=4096, help_text="Length of an embedding.")
    loss = forms.ChoiceField(
        choices=[(loss.kind, text) for loss, text in recipes.LOSSES],
        help_text="What the training makes small, so that photos of one label come to lie together.",
    )
    lr = forms.FloatField(min_value=1e-9, max_value=10, label="Learning rate", help_text="Of each step, at its peak.")
    labels = forms.IntegerField(
        min_value=2, max_value=4096, required=False, label="Labels in a batch", help_text="Of balanced batches."
    )
    instances = forms.IntegerField(
        min_value=2, max_value=4096, required=False, label="Samples of each label", help_text="Of balanced batches."
    )
    seed = forms.IntegerField(min_value=0, max_value=2**31 - 1, help_text="Same seed, same data, same CPU: same model.")
    recipe = forms.CharField(
        max_length=recipes.MAX_TEXT,
        widget=forms.Textarea(attrs={"rows": 30, "class": "mono", "spellcheck": "false"}),
        label="The complete recipe",
        help_text="YAML or JSON. A change here turns the knobs above, and they change it.",
    )
    base = forms.CharField(max_length=recipes.MAX_TEXT, widget=forms.HiddenInput)
    base_preset = forms.CharField(max_length=32, widget=forms.HiddenInput)
    own = forms.CharField(max_length=32, required=False, widget=forms.HiddenInput)

    def __init__(
        self, dataset: Dataset, snapshot: Snapshot | None, facts: TrainFacts, *args: Any, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.dataset = dataset
        self.facts = facts
        self.resolved: Recipe | None = None  # what the person asks for, once `is_valid`
        self.own_knobs: frozenset[str] = frozenset()
        self.notes: list[Note] = []
        self.recipe_problems: list[dict[str, str]] = []
        self.offer_own()
        snapshots = list(Snapshot.objects.filter(dataset=dataset).order_by("-number")[:SNAPSHOTS_SHOWN])
        if snapshot is not None and snapshot not in snapshots:
            snapshots.append(snapshot)
        self.fields["snapshot"].choices = [  # type: ignore[attr-defined]
            (NOW, "The dataset as it is now (a snapshot is made)"),
            *((str(each.pk), f"Snapshot {each.number}, {each.created_at:%Y-%m-%d %H:%M}") for each in snapshots),
        ]

    def offer_own(self) -> None:
        """Adds the recipe's own network, statistics and loss to the lists that do not name them, so that they stay."""
        try:
            knobs = recipes.knobs_of(recipes.recipe_parse(self["base"].value() or ""))
        except recipes.RecipeError:
            return
        if knobs["statistics"] is None:
            self.fields["statistics"].choices = [("", "the network is nothing else")]  # type: ignore[attr-defined]
            self.fields["statistics"].required = False
        for name in ("arch", "loss"):
            choices = self.fields[name].choices  # type: ignore[attr-defined]
            if knobs[name] not in dict(choices):
                self.fields[name].choices = [*choices, (knobs[name], knobs[name])]  # type: ignore[attr-defined]

    @classmethod
    def initial_for(cls, recipe: Recipe, preset: str, own: Collection[str] = ()) -> dict[str, Any]:
        """What the fields hold that follow from a recipe. `own`: the batch knobs that are not the preset's."""
        text = recipes.recipe_text(recipe)
        hidden = {"base": text, "base_preset": preset, "own": " ".join(sorted(own))}
        return {**recipes.knobs_of(recipe), "preset": preset, "recipe": text, **hidden}

    @property
    def began_at(self) -> str:
        """The preset that was chosen, else the one that the shown recipe began at; once `is_valid`."""
        return str(self.cleaned_data["preset"] or self.cleaned_data["base_preset"])

    def show_notes(self, notes: Iterable[Note]) -> None:
        """Says beside a field why it does not hold what the preset has."""
        for note in notes:
            self.fields[note.key].help_text = str(note)

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        if not self.errors:
            try:
                self.resolved = self.resolve(data)
                self.show_notes(self.notes)
            except recipes.RecipeError as error:
                self.recipe_problems = error.problems
                self.add_error("recipe", "The recipe has faults; they are listed above.")
        return data

    def resolve(self, data: dict[str, Any]) -> Recipe:
        """The recipe that the changes against `base` add up to: the text first, else the preset, then the knobs."""
        base = recipes.recipe_parse(data["base"])
        before = recipes.knobs_of(base)
        start, own, preset = base, set(data["own"].split()), data["preset"]
        if same_text(data["recipe"]) != same_text(data["base"]):
            start = recipes.recipe_parse(data["recipe"])
            own |= {name for name, value in recipes.knobs_of(start).items() if value != before[name]}
        elif preset and preset != data["base_preset"]:
            start, own = PRESETS[preset], set()
        changes = {name: data[name] for name in KNOBS if data[name] is not None and data[name] != before[name]}
        self.own_knobs = frozenset((own | changes.keys()) & set(recipes.BATCH_KNOBS))
        asked = recipes.knobs_apply(start, changes) if changes else start
        fitted, self.notes = recipes.batch_fit(asked, preset or data["base_preset"], self.facts, own=self.own_knobs)
        return fitted


class PublishForm(forms.Form):
    model_name = forms.CharField(
        max_length=120, label="Model", help_text="An existing model of this dataset gets a new version."
    )


def same_text(text: str) -> str:
    """Browsers send line ends of their own."""
    return "\n".join(line.rstrip() for line in text.strip().splitlines())
