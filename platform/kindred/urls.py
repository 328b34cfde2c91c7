"""Every address of the site, one include per app."""

from django.contrib import admin
from django.urls import include, path

from kindred import views

urlpatterns = [
    path("", views.home, name="home"),
    path("healthz", views.healthz, name="healthz"),
    path("readyz", views.readyz, name="readyz"),
    path("", include("apps.core.urls")),
    path("", include("apps.accounts.urls")),
    path("jobs/", include("apps.jobs.urls")),
    path("datasets/<int:pk>/remove", views.dataset_remove, name="dataset_remove"),
    path("datasets/", include("apps.datasets.urls")),
    path("runs/", include("apps.training.urls")),
    path("reports/", include("apps.reports.urls")),
    path("models/", include("apps.zoo.urls")),
    path("search/", include("apps.search.urls")),
    path("api/", include("apps.api.urls")),
    path("admin/login/", views.admin_login),
    path("admin/", admin.site.urls),
]

handler400 = "kindred.views.bad_request"
handler403 = "kindred.views.permission_denied"
handler404 = "kindred.views.page_not_found"
handler500 = "kindred.views.server_error"
