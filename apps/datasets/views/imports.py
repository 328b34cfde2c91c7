"""Uploading, and watching what becomes of it."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_GET, require_http_methods

from apps.accounts.models import Role
from apps.core.errors import BadInput
from apps.datasets import selectors, services
from apps.datasets.forms import UploadForm
from apps.datasets.models import ImportFile
from apps.datasets.photos import disk_full_explained
from apps.datasets.selectors.pages import key_parse
from apps.datasets.views.access import dataset_or_404, page, user_of
from apps.jobs.selectors import positions_attach

FORM_OVERHEAD_BYTES = 64 * 2**10
PROBLEMS_SHOWN = 200


@csrf_exempt  # only so that the body is not read before the checks here; `_import_create` is protected
@require_http_methods(["GET", "POST"])
def import_create(request: HttpRequest, pk: int) -> HttpResponseBase:
    """The upload page. Role and size are judged before the body is read; a full disk while reading it is explained."""
    dataset_or_404(request, pk, Role.MANAGER)
    size = request.META.get("CONTENT_LENGTH") or "0"
    if size.isdigit() and int(size) > settings.MAX_UPLOAD_BYTES + FORM_OVERHEAD_BYTES:
        raise BadInput(
            f"The upload is larger than {settings.MAX_UPLOAD_BYTES / 1e9:.0f} GB.", remedy="Upload it in several parts."
        )
    with disk_full_explained():
        return _import_create(request, pk)


@csrf_protect
def _import_create(request: HttpRequest, pk: int) -> HttpResponse:
    dataset = dataset_or_404(request, pk, Role.MANAGER)
    form = UploadForm(request.POST or None, request.FILES or None)
    if request.method == "POST":
        form = UploadForm(request.POST, request.FILES)
        if form.is_valid():
            upload = form.cleaned_data["file"]
            try:
                made = services.import_create(
                    dataset=dataset, file=upload, file_name=upload.name or "", user=user_of(request)
                )
            except BadInput as error:
                form.add_error("file", f"{error.detail} {error.remedy}")
            else:
                return redirect("datasets:import", pk=made.pk)
    context = {
        **page(request, dataset, "imports", ("Imports", reverse("datasets:imports", args=[pk])), ("New", "")),
        "form": form,
        "max_bytes": settings.MAX_UPLOAD_BYTES,
    }
    return render(request, "datasets/import_create.html", context, status=422 if form.errors else 200)


@require_GET
def import_list(request: HttpRequest, pk: int) -> HttpResponse:
    dataset = dataset_or_404(request, pk)
    before = key_parse(request.GET.get("before", ""))
    rows = selectors.imports_list(user=user_of(request)).filter(dataset=dataset).defer("problems")
    if before is not None:
        rows = rows.filter(pk__lt=before)
    imports = list(rows[:51])
    context = {
        **page(request, dataset, "imports", ("Imports", "")),
        "imports": imports[:50],
        "next_url": f"?before={imports[49].pk}" if len(imports) > 50 else "",
        "previous_url": "?" if before is not None else "",
    }
    return render(request, "datasets/imports.html", context)


@require_GET
def import_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """The bar, the figures, every problem and every file's fate. htmx gets the part that changes."""
    row = get_object_or_404(selectors.imports_list(user=user_of(request)), pk=pk)
    outcome = request.GET.get("outcome", "")
    outcome = outcome if outcome in ImportFile.Outcome.values else ""
    files = selectors.import_files_page(
        dataset_import=row,
        outcome=outcome,
        after=key_parse(request.GET.get("after", "")),
        before=key_parse(request.GET.get("before", "")),
    )
    job = row.job
    is_live = job is not None and not job.is_final
    if job is not None:
        positions_attach([job])
    everything = request.GET.get("problems") == "all"
    imports_url = reverse("datasets:imports", args=[row.dataset_id])
    context = {
        **page(request, row.dataset, "imports", ("Imports", imports_url), (row.file_name, "")),
        "import": row,
        "job": job,
        "is_live": is_live,
        "has_errors": any(problem.get("severity") == "error" for problem in row.problems),
        "unlabelled": selectors.import_unlabelled(dataset_import=row) if row.counts.get("added") and not is_live else 0,
        "outcome": outcome,
        "outcomes": [(value, row.counts.get(value, 0)) for value in ImportFile.Outcome.values],
        "total": sum(row.counts.values()),
        "files": files,
        "problems": row.problems if everything else row.problems[:PROBLEMS_SHOWN],
        "problems_hidden": 0 if everything else max(0, len(row.problems) - PROBLEMS_SHOWN),
        "here": request.get_full_path(),
    }
    template = "datasets/_import.html" if request.headers.get("HX-Request") else "datasets/import.html"
    return render(request, template, context)
