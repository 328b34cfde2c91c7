from django.urls import path

from apps.datasets.views import datasets, imports, labels, media, members, samples, snapshots

app_name = "datasets"
urlpatterns = [
    path("", datasets.dataset_list, name="list"),
    path("new", datasets.dataset_create, name="create"),
    path("<int:pk>/", datasets.dataset_detail, name="detail"),
    path("<int:pk>/edit", datasets.dataset_edit, name="edit"),
    path("<int:pk>/samples", samples.sample_list, name="samples"),
    path("<int:pk>/samples/update", samples.samples_update, name="samples_update"),
    path("<int:pk>/samples/delete", samples.samples_delete, name="samples_delete"),
    path("samples/<int:pk>", samples.sample_detail, name="sample"),
    path("samples/<int:pk>/photo", media.photo, name="photo"),
    path("samples/<int:pk>/thumb/<int:size>", media.thumb, name="thumb"),
    path("<int:pk>/labels", labels.label_list, name="labels"),
    path("<int:pk>/labels/new", labels.label_create, name="label_create"),
    path("labels/<int:pk>/edit", labels.label_edit, name="label_edit"),
    path("labels/<int:pk>/delete", labels.label_delete, name="label_delete"),
    path("<int:pk>/members", members.member_list, name="members"),
    path("members/<int:pk>/remove", members.member_remove_view, name="member_remove"),
    path("<int:pk>/imports", imports.import_list, name="imports"),
    path("<int:pk>/imports/new", imports.import_create, name="import_create"),
    path("imports/<int:pk>", imports.import_detail, name="import"),
    path("<int:pk>/snapshots", snapshots.snapshot_list, name="snapshots"),
    path("<int:pk>/snapshots/new", snapshots.snapshot_create, name="snapshot_create"),
    path("snapshots/<int:pk>", snapshots.snapshot_detail, name="snapshot"),
    path("snapshots/<int:pk>/manifest", snapshots.snapshot_manifest, name="snapshot_manifest"),
    path("snapshots/<int:pk>/table", snapshots.snapshot_table, name="snapshot_table"),
]
