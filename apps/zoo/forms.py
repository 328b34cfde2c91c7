"""The forms of the zoo's pages."""

from django import forms

from apps.zoo.services import ALIAS_LENGTH_MAX


class AliasForm(forms.Form):
    name = forms.SlugField(
        max_length=ALIAS_LENGTH_MAX,
        label="Alias",
        initial="champion",
        help_text="<code>champion</code> is the version that pages and programs use when they name none.",
    )


class NotesForm(forms.Form):
    notes = forms.CharField(
        required=False,
        max_length=10_000,
        label="Notes",
        widget=forms.Textarea(attrs={"rows": 5}),
        help_text="What it is for, what it is not for, what to look out for.",
    )
