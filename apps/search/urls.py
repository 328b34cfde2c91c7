from django.urls import path

from apps.search import views

app_name = "search"
urlpatterns = [
    path("", views.home, name="home"),
    path("<int:pk>/", views.page, name="page"),
    path("<int:pk>/query", views.query, name="query"),
    path("versions/<int:pk>/index", views.index_build, name="index"),
]
