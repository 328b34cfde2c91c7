from django.urls import path

from apps.training import views

app_name = "training"
urlpatterns = [
    path("", views.run_list, name="list"),
    path("new", views.run_new, name="new"),
    path("new/preview", views.run_preview, name="preview"),
    path("<int:pk>/", views.run_detail, name="detail"),
    path("<int:pk>/live", views.run_live, name="live"),
    path("<int:pk>/points", views.run_points, name="points"),
    path("<int:pk>/publish", views.run_publish, name="publish"),
]
