from django.urls import path

from apps.zoo import views

app_name = "zoo"
urlpatterns = [
    path("", views.model_list, name="list"),
    path("<int:pk>/", views.model_detail, name="model"),
    path("<int:pk>/aliases/remove", views.alias_remove, name="remove_alias"),
    path("versions/<int:pk>/", views.version_detail, name="version"),
    path("versions/<int:pk>/publish", views.version_publish, name="publish"),
    path("versions/<int:pk>/retire", views.version_retire, name="retire"),
    path("versions/<int:pk>/alias", views.alias_set, name="set_alias"),
    path("versions/<int:pk>/notes", views.version_notes, name="notes"),
]
