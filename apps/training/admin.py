"""Runs in the admin, to look at."""

from django.contrib import admin

from apps.core.admin import ReadOnlyAdmin
from apps.training.models import Run


@admin.register(Run)
class RunAdmin(ReadOnlyAdmin):
    list_display = ["id", "name", "dataset", "state", "preset", "model_version", "created_by", "created_at"]
    list_display_links = ["id", "name"]
    list_filter = ["job__state", "preset", "dataset"]
    list_select_related = ["dataset", "job", "model_version__model", "created_by"]
    search_fields = ["name", "dataset__name"]
    date_hierarchy = "created_at"
    ordering = ["-pk"]

    @admin.display(ordering="job__state")
    def state(self, run: Run) -> str:
        return run.job.state
