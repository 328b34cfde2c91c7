"""The members of a dataset: everybody in it sees them, its managers change them."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from apps.accounts.models import Membership, Role
from apps.core.errors import KindredError
from apps.datasets.forms import MemberForm
from apps.datasets.models import Dataset
from apps.datasets.selectors.datasets import datasets_list
from apps.datasets.selectors.members import members_list
from apps.datasets.services.members import member_remove, member_set
from apps.datasets.views.access import dataset_or_404, page, user_of


@require_http_methods(["GET", "HEAD", "POST"])
def member_list(request: HttpRequest, pk: int) -> HttpResponse:
    """Who may do what; POST gives a person a role."""
    dataset = dataset_or_404(request, pk, Role.MANAGER if request.method == "POST" else Role.VIEWER)
    form = MemberForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            membership = member_set(
                dataset=dataset, username=form.cleaned_data["username"], role=Role(form.cleaned_data["role"])
            )
        except KindredError as error:
            form.add_error("username", f"{error.detail} {error.remedy}")
        else:
            messages.success(request, f"{membership.user} is now {Role(membership.role).label} of {dataset.name}.")
            return redirect("datasets:members", pk=dataset.pk)
    context = {
        **page(request, dataset, "members", ("Members", "")),
        "members": members_list(dataset=dataset),
        "form": form,
        "me": user_of(request),
    }
    return render(request, "datasets/members.html", context, status=422 if form.errors else 200)


@require_POST
def member_remove_view(request: HttpRequest, pk: int) -> HttpResponse:
    """Takes a person's role away."""
    mine = datasets_list(user=user_of(request))
    membership = get_object_or_404(Membership.objects.select_related("user", "dataset"), pk=pk, dataset__in=mine)
    dataset: Dataset = membership.dataset
    dataset_or_404(request, dataset.pk, Role.MANAGER)
    member_remove(membership=membership)
    messages.success(request, f"{membership.user} no longer belongs to {dataset.name}.")
    if membership.user == request.user and not request.user.is_superuser:
        return redirect("datasets:list")
    return redirect("datasets:members", pk=dataset.pk)
