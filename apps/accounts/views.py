"""Signing in and out, the password, and the one-time link."""

from django.contrib.auth import login
from django.contrib.auth import views as auth_views
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse_lazy
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters

from apps.accounts.forms import LoginForm, SetupForm
from apps.accounts.setup import administrator_create, link_is_good


class LoginView(auth_views.LoginView):
    form_class = LoginForm
    template_name = "accounts/login.html"
    redirect_authenticated_user = True


class PasswordView(auth_views.PasswordChangeView):
    template_name = "accounts/password.html"
    success_url = reverse_lazy("accounts:password_done")


@method_decorator(never_cache, name="dispatch")
class PasswordDoneView(auth_views.PasswordChangeDoneView):
    template_name = "accounts/password_done.html"


@sensitive_post_parameters()
@never_cache
@login_not_required
def setup(request: HttpRequest, token: str) -> HttpResponse:
    """Makes the first administrator and signs them in. A used or foreign link is a 404."""
    if not link_is_good(token):
        raise Http404
    form = SetupForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        user = administrator_create(username=form.cleaned_data["username"], password=form.cleaned_data["password"])
        login(request, user, backend="django.contrib.auth.backends.ModelBackend")
        return redirect("home")
    return render(request, "accounts/setup.html", {"form": form}, status=422 if form.errors else 200)
