from django.urls import path

from apps.core import views

app_name = "core"
urlpatterns = [
    path("styleguide", views.styleguide, name="styleguide"),
    path("styleguide/points", views.styleguide_points, name="styleguide_points"),
    path("styleguide/problem", views.styleguide_problem, name="styleguide_problem"),
]
