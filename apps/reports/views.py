"""The pages of reports."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_GET

from apps.accounts.models import User
from apps.core.metrics import query_counts
from apps.datasets.models import Dataset
from apps.reports import selectors
from apps.reports.det import det_curve
from apps.reports.models import Evaluation
from apps.training.selectors import figure_rows

PAGE_SIZE = 50


@require_GET
def report_list(request: HttpRequest) -> HttpResponse:
    """All reports that one may see, newest first. `?dataset=` filters, `?before=` pages."""
    user = _user(request)
    asked, before = request.GET.get("dataset", ""), _number(request.GET.get("before", ""))
    dataset = get_object_or_404(Dataset.objects.for_user(user), pk=_number(asked)) if asked else None
    rows = selectors.report_list(user=user, dataset_id=dataset.pk if dataset else None).defer("extras", "categories")
    reports = list((rows.filter(pk__lt=before) if before else rows)[: PAGE_SIZE + 1])
    has_more, reports = len(reports) > PAGE_SIZE, reports[:PAGE_SIZE]
    keep = {"dataset": dataset.pk} if dataset else {}
    for report in reports:
        report.query_counts = query_counts(report.counts)  # type: ignore[attr-defined]
    context = {
        "reports": reports,
        "dataset": dataset,
        "tab": "runs",
        "headlines": selectors.HEADLINES,
        "next_url": f"?{urlencode({**keep, 'before': reports[-1].pk})}" if has_more else "",
        "previous_url": f"{reverse('reports:list')}?{urlencode(keep)}" if before else "",
    }
    return render(request, "reports/list.html", context)


@require_GET
def report_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One report. `?sort=` orders the categories (a name of selectors.category_columns, `-` in front for falling)."""
    report = get_object_or_404(selectors.report_list(user=_user(request)), pk=pk)
    sort = request.GET.get("sort", "name")
    counts, labels = query_counts(report.counts), selectors.labels_measured(report)
    measured = counts.queries if counts.measured is None else counts.measured
    context = {
        "report": report,
        "run": report.run,
        "dataset": report.run.dataset,
        "tab": "runs",
        "headlines": figure_rows(report.overall, report.untrained, selectors.HEADLINES),
        "figures": figure_rows(report.overall, report.untrained),
        "intervals": selectors.intervals(report),
        "interval_definition": selectors.interval_definition(report, measured),
        "confidence": report.extras.get("intervals", {}).get("confidence"),
        "points": selectors.operating_points(report),
        "det": det_curve(report),
        "pcf_names": sorted(report.extras.get("pcf", {}).get("figures", {})),
        "measured": measured,
        "labels": labels,
        "few": 0 < measured < selectors.FEW_QUERIES or 0 < (labels or 0) < selectors.FEW_LABELS,
        "deleted": selectors.deleted_count(report),
        "worst": selectors.worst_queries(evaluation=report),
        **_category_context(report, sort),
        "breadcrumbs": [
            ("Datasets", reverse("datasets:list")),
            (report.run.dataset.name, reverse("datasets:detail", args=[report.run.dataset_id])),
            (report.run.name, reverse("training:detail", args=[report.run_id])),
        ],
    }
    return render(request, "reports/detail.html", context)


def _category_context(report: Evaluation, sort: str) -> dict[str, Any]:
    """The table of categories and, per column, the order that a click on its head asks for."""
    current = sort.removeprefix("-")
    columns = []
    names = selectors.category_columns(report)
    for name in names:
        falling_first = name != "name"
        is_falling = sort.startswith("-")
        flip = current == name and is_falling == falling_first
        columns.append(
            {
                "name": name,
                "next": ("" if falling_first == flip else "-") + name,
                "order": ("descending" if is_falling else "ascending") if current == name else "none",
                "is_metric": name not in ("name", "queries"),
            }
        )
    return {
        "categories": selectors.categories_sorted(report, sort),
        "columns": columns,
        "has_fnmr": any(name.startswith("fnmr@") for name in names),
        "sort": sort,
    }


def _number(text: str) -> int:
    """An id out of an address; 0, which is nobody's, for anything else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # LoginRequiredMiddleware has seen to it
    return request.user
