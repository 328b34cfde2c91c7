"""What the pages of datasets send."""

import zipfile
from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile

from apps.accounts.models import Role
from apps.datasets.models import Dataset, Split

SPLITS = [("", "No split"), *Split.choices]
FLAGS = {
    "both": (True, True),
    "query": (True, False),
    "gallery": (False, True),
    "neither": (False, False),
}


class DatasetForm(forms.ModelForm[Dataset]):
    """A new dataset. That the name is free is the service's business too, for two may ask at once."""

    class Meta:
        model = Dataset
        fields = ["name", "description"]
        widgets = {
            "name": forms.TextInput(attrs={"autofocus": True, "autocomplete": "off"}),
            "description": forms.Textarea(attrs={"rows": 3}),
        }
        help_texts = {"name": "What the photos show, say “Sneakers 2026”."}


class DatasetEditForm(forms.Form):
    """A dataset's name and description. `version` is the one that was shown."""

    version = forms.CharField(max_length=64, widget=forms.HiddenInput)
    name = forms.CharField(max_length=120, widget=forms.TextInput(attrs={"autofocus": True, "autocomplete": "off"}))
    description = forms.CharField(required=False, widget=forms.Textarea(attrs={"rows": 3}))


class MemberForm(forms.Form):
    """Whom to give which role."""

    username = forms.CharField(max_length=150, widget=forms.TextInput(attrs={"autocomplete": "off"}))
    role = forms.TypedChoiceField(choices=Role.choices, coerce=int, initial=Role.ANNOTATOR)


class UploadForm(forms.Form):
    file = forms.FileField(
        label="Zip",
        error_messages={
            "required": "Choose a zip of photos first.",
            "empty": "The file is empty. Pack it again.",
        },
    )

    def clean_file(self) -> UploadedFile[bytes]:
        """What begins like a zip and has lost its end is told at once, not by the job."""
        file: UploadedFile[bytes] = self.cleaned_data["file"]
        begins_as_one = file.read(2) == b"PK"
        file.seek(0)
        if begins_as_one and not zipfile.is_zipfile(file):
            raise forms.ValidationError(
                "The zip has no end: it was cut short on its way, or while it was packed. Pack it again and upload it."
            )
        file.seek(0)
        return file


class ChosenForm(forms.Form):
    """Which samples are meant: the selected ones, or all that match a filter, of which `expected` were seen."""

    all_matching = forms.BooleanField(required=False)
    expected = forms.IntegerField(min_value=0, required=False)
    filter = forms.CharField(required=False)
    after = forms.CharField(required=False)


class SelectionForm(ChosenForm):
    """What is to be done with the selected samples, or with all that match."""

    action = forms.ChoiceField(choices=[(name, name) for name in ("label", "split", "flags")])
    label = forms.CharField(max_length=200, required=False)
    split = forms.ChoiceField(choices=SPLITS, required=False)
    flags = forms.ChoiceField(choices=[("", ""), *((name, name) for name in FLAGS)], required=False)

    def changes(self) -> dict[str, Any]:
        """The keyword arguments of `samples_update`; empty when nothing was chosen."""
        action, values = self.cleaned_data["action"], self.cleaned_data
        if action == "flags" and values["flags"]:
            is_query, is_gallery = FLAGS[values["flags"]]
            return {"is_query": is_query, "is_gallery": is_gallery}
        return {action: values[action]} if action != "flags" and values[action] else {}


class SampleForm(forms.Form):
    """One sample. `version` is the one that was shown."""

    version = forms.IntegerField(widget=forms.HiddenInput)
    label = forms.CharField(
        max_length=200,
        required=False,
        widget=forms.TextInput(attrs={"list": "label-names", "autocomplete": "off"}),
        help_text="A name that is new makes a new label.",
    )
    split = forms.ChoiceField(choices=SPLITS, required=False)
    is_query = forms.BooleanField(required=False, label="Query: it searches")
    is_gallery = forms.BooleanField(required=False, label="Gallery: it is searched")

    def __init__(self, data: Mapping[str, Any] | None = None, *, initial: dict[str, Any]) -> None:
        super().__init__(data, initial=initial)
        if initial["split"]:  # it cannot be taken away again
            self.fields["split"] = forms.ChoiceField(choices=Split.choices)

    def changes(self, initial: dict[str, Any]) -> dict[str, Any]:
        """Those values that differ from what the sample had."""
        values = {name: self.cleaned_data[name] for name in ("label", "split", "is_query", "is_gallery")}
        changed = {name: value for name, value in values.items() if value != initial[name]}
        if changed.get("split") == Split.TRAIN:
            # The boxes were ticked for validation; the move takes them off.
            changed = {name: value for name, value in changed.items() if name not in ("is_query", "is_gallery")}
        return changed


class LabelForm(forms.Form):
    version = forms.IntegerField()
    name = forms.CharField(max_length=200)
    category = forms.CharField(max_length=200, required=False)


class NewLabelForm(forms.Form):
    name = forms.CharField(max_length=200)
    category = forms.CharField(max_length=200, required=False)
