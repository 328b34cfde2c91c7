"""Signing in, and making the first administrator."""

from typing import Any

from django import forms
from django.contrib.auth.forms import AuthenticationForm, BaseUserCreationForm
from django.core.exceptions import ValidationError
from django.http import HttpRequest

from apps.accounts import throttle
from apps.accounts.models import User


class LoginForm(AuthenticationForm):
    """Says the same for a wrong name and a wrong password, and stops answering who guesses."""

    error_messages = {
        "invalid_login": "This username and password do not go together. Both are case-sensitive.",
        "inactive": "This username and password do not go together. Both are case-sensitive.",
        "throttled": "Too many attempts. Wait a quarter of an hour, or ask an administrator for a new password.",
    }

    def clean(self) -> dict[str, Any]:
        assert isinstance(self.request, HttpRequest)
        username, address = self.cleaned_data.get("username", ""), throttle.address_of(self.request)
        if throttle.is_full(username=username, address=address):
            raise ValidationError(self.error_messages["throttled"], code="throttled")
        try:
            cleaned: dict[str, Any] = super().clean()
        except ValidationError:
            throttle.note_failure(username=username, address=address)
            raise
        if self.get_user() is not None:
            throttle.note_success(username=username)
        return cleaned

    @property
    def is_throttled(self) -> bool:
        return self.has_error("__all__", "throttled")


class AdministratorForm(BaseUserCreationForm[User]):
    """A name and a password, twice. What is wrong with the password stands under its first field."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["password1"].help_text = "At least 10 characters; no common password, and not like your name."
        self.fields["password2"].help_text = ""

    def validate_password_for_user(self, user: User, **more: Any) -> None:
        super().validate_password_for_user(user, "password1")  # type: ignore[misc]  # the stubs do not know it

    def focus_fault(self) -> None:
        """Puts the cursor into the first field with an error."""
        faulty = next((name for name in self.fields if self.has_error(name)), None)
        for name, field in self.fields.items() if faulty else ():
            field.widget.attrs.pop("autofocus", None)
            if name == faulty:
                field.widget.attrs["autofocus"] = True

    class Meta:
        model = User
        fields = ["username"]
        widgets = {"username": forms.TextInput(attrs={"autocomplete": "username", "autofocus": True})}
