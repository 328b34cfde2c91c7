from django.urls import path

from apps.jobs import views

app_name = "jobs"
urlpatterns = [
    path("", views.job_list, name="list"),
    path("<int:pk>/", views.job_detail, name="detail"),
    path("<int:pk>/bar", views.job_bar, name="bar"),
    path("<int:pk>/cancel", views.job_cancel, name="cancel"),
]
