"""What a search is asked with."""

from typing import Any

from django import forms

from apps.core.errors import BadInput

IMAGE_BYTES_MAX = 20 * 2**20
KS = (12, 24, 48, 96)
KS_WORDS = "12, 24, 48 or 96"
Box = tuple[int, int, int, int]


class SearchForm(forms.Form):
    """The filters, the crop, and the photo or the sample. Its errors are raised as BadInput by `search_parse`."""

    sample = forms.IntegerField(required=False, min_value=1, max_value=2**63 - 1)
    image = forms.FileField(required=False)
    category = forms.CharField(required=False, max_length=200, strip=False)
    k = forms.TypedChoiceField(
        required=False,
        coerce=int,
        choices=[(k, k) for k in KS],
        error_messages={"invalid_choice": f"How many are shown (k) is %(value)s; it may be {KS_WORDS}."},
    )
    group = forms.BooleanField(required=False)
    x1 = forms.IntegerField(required=False, min_value=0)
    y1 = forms.IntegerField(required=False, min_value=0)
    x2 = forms.IntegerField(required=False, min_value=1)
    y2 = forms.IntegerField(required=False, min_value=1)

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        corners = [values.get(name) for name in ("x1", "y1", "x2", "y2")]
        given = [corner for corner in corners if corner is not None]
        if given and len(given) < 4:
            raise forms.ValidationError("The crop needs all four of its corners.")
        values["k"] = values.get("k") or KS[0]
        values["box"] = tuple(corners) if given else None
        image = values.get("image")
        if image is not None and image.size > IMAGE_BYTES_MAX:
            raise forms.ValidationError(f"The photo is larger than {IMAGE_BYTES_MAX // 2**20} MiB; make it smaller.")
        return values


def search_parse(form: SearchForm) -> dict[str, Any]:
    """The cleaned values, with `box`. Raises BadInput."""
    if form.is_valid():
        return form.cleaned_data
    field, errors = next(iter(form.errors.items()))
    words = str(errors[0])
    raise BadInput(words if field in ("__all__", "k") else f"{field}: {words}", remedy="Correct it and search again.")
