"""Signing in and out, the first administrator, and one's own password."""

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login as sign_in
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm
from django.contrib.auth.views import LoginView, PasswordChangeView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters

from apps.accounts import setup as setup_link
from apps.accounts.forms import AdministratorForm, LoginForm
from apps.accounts.services import administrator_create_first


class Login(LoginView):
    """429 once there were too many failures, by name or by address."""

    form_class = LoginForm
    template_name = "accounts/login.html"
    redirect_authenticated_user = True

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        assert isinstance(form, LoginForm)
        return render(
            self.request, self.template_name, self.get_context_data(form=form), status=429 if form.is_throttled else 422
        )


class PasswordChange(PasswordChangeView):
    template_name = "accounts/password.html"
    success_url = reverse_lazy("home")

    def form_valid(self, form: PasswordChangeForm) -> HttpResponse:
        response = super().form_valid(form)
        messages.success(self.request, "Your password is changed. Other browsers are signed out.")
        return response

    def form_invalid(self, form: PasswordChangeForm) -> HttpResponse:
        return render(self.request, self.template_name, self.get_context_data(form=form), status=422)


@login_not_required
@never_cache
@sensitive_post_parameters()
def setup(request: HttpRequest, token: str) -> HttpResponse:
    """The page behind the one-time link. 404 for any other token, and for every one once it was used, in words."""
    if not setup_link.is_valid(token):
        return render(request, "accounts/setup_closed.html", status=404)
    form = AdministratorForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        user = administrator_create_first(
            username=form.cleaned_data["username"], password=form.cleaned_data["password1"]
        )
        sign_in(request, user, backend=settings.AUTHENTICATION_BACKENDS[0])
        messages.success(request, f"Welcome, {user.username}. You are the administrator.")
        return redirect("home")
    form.focus_fault()
    return render(request, "accounts/setup.html", {"form": form}, status=422 if form.errors else 200)
