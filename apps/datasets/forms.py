"""What the pages of datasets send."""

from typing import Any

from django import forms

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


class SelectionForm(forms.Form):
    """What is to be done with the selected samples, or with all that match."""

    action = forms.ChoiceField(choices=[(name, name) for name in ("label", "split", "flags")])
    label = forms.CharField(max_length=200, required=False)
    split = forms.ChoiceField(choices=SPLITS, required=False)
    flags = forms.ChoiceField(choices=[("", ""), *((name, name) for name in FLAGS)], required=False)
    all_matching = forms.BooleanField(required=False)
    expected = forms.IntegerField(min_value=0, required=False)
    filter = forms.CharField(required=False)
    after = forms.CharField(required=False)

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
