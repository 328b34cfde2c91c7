"""The page of a person's API tokens."""

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from apps.accounts.models import ApiToken, User
from apps.accounts.tokens import SCOPES, token_create, token_revoke


class TokenForm(forms.Form):
    name = forms.CharField(max_length=100, label="Name", help_text="The program that will use it")
    scopes = forms.MultipleChoiceField(
        choices=[(name, f"{name}: {text}") for name, text in SCOPES.items()],
        widget=forms.CheckboxSelectMultiple,
        initial=["read", "embed", "search"],
        label="Scopes",
        help_text="What it may do; never more than you may",
        error_messages={"required": "Choose at least one scope."},
    )
    days = forms.TypedChoiceField(
        choices=[("30", "30 days"), ("90", "90 days"), ("365", "a year"), ("", "for ever")],
        coerce=int,
        empty_value=None,
        required=False,
        initial="90",
        label="Good for",
    )


def mine(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user


@never_cache
def tokens(request: HttpRequest) -> HttpResponse:
    """The list, the form, and, right after making one, the secret: once, in the answer to the POST itself."""
    form = TokenForm(request.POST or None)
    secret = ""
    if request.method == "POST" and form.is_valid():
        _, secret = token_create(user=mine(request), **form.cleaned_data)
        form = TokenForm()
    context = {
        "form": form,
        "secret": secret,
        "tokens": ApiToken.objects.filter(user=mine(request), revoked_at=None).order_by("-pk"),
        "now": timezone.now(),
        "site_url": request.build_absolute_uri("/").rstrip("/"),
    }
    return render(request, "accounts/tokens.html", context, status=200 if secret or not form.errors else 422)


@require_POST
def token_revoke_view(request: HttpRequest, pk: int) -> HttpResponse:
    token = get_object_or_404(ApiToken, pk=pk, user=mine(request))
    token_revoke(token=token)
    messages.success(request, f"{token.name} is revoked. Programs that use it get 401 from now on.")
    return redirect("accounts:tokens")
