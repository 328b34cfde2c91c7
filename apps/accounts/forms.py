"""The forms of signing in and of the first administrator."""

from typing import Any

from django import forms
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError

from apps.accounts.models import User
from apps.accounts.throttle import failure_record, failures_forget, is_throttled


class LoginForm(AuthenticationForm):
    """Django's own, behind the throttle. A wrong name and a wrong password get the same words."""

    def clean(self) -> dict[str, Any]:
        username = self.cleaned_data.get("username", "")
        address = self.request.META.get("REMOTE_ADDR") if self.request else None
        if is_throttled(username, address):
            raise ValidationError("Too many failed attempts. Wait a quarter of an hour, then try again.")
        try:
            cleaned: dict[str, Any] = super().clean()
        except ValidationError:
            failure_record(username, address)
            raise
        failures_forget(username, address)
        return cleaned


class SetupForm(forms.Form):
    username = forms.CharField(max_length=150, validators=User._meta.get_field("username").validators)
    password = forms.CharField(
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        strip=False,
        help_text="At least 10 characters",
    )
    again = forms.CharField(
        label="Password again", widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}), strip=False
    )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        password = cleaned.get("password")
        if password and cleaned.get("again") and password != cleaned["again"]:
            self.add_error("again", "The two passwords differ.")
        if password:
            try:
                validate_password(password, User(username=cleaned.get("username", "")))
            except ValidationError as error:
                self.add_error("password", error)
        return cleaned
