"""Jobs in the admin, to look at. The queue's own tables are no business of the administration.

django-q registers those, and a schedule there names any function to call: whoever could edit one could run anything.
Its task records hold pickles, which must not be opened from a page.
"""

from django.contrib import admin
from django_q.models import Failure, OrmQ, Schedule, Success

from apps.core.admin import ReadOnlyAdmin
from apps.jobs.models import Job

for model in (Failure, OrmQ, Schedule, Success):
    if admin.site.is_registered(model):
        admin.site.unregister(model)


@admin.register(Job)
class JobAdmin(ReadOnlyAdmin):
    list_display = ["id", "title", "kind", "state", "dataset", "owner", "attempt", "created_at", "finished_at"]
    list_display_links = ["id", "title"]
    list_filter = ["state", "kind", "dataset"]
    list_select_related = ["dataset", "owner"]
    search_fields = ["title", "error"]
    date_hierarchy = "created_at"
    ordering = ["-pk"]
