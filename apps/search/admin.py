"""Embedding sets and indexes in the admin, to look at: jobs make them, and files belong to them."""

from django.contrib import admin

from apps.core.admin import ReadOnlyAdmin
from apps.search.models import EmbeddingSet, Index


@admin.register(EmbeddingSet)
class EmbeddingSetAdmin(ReadOnlyAdmin):
    list_display = ["id", "version", "snapshot", "count", "dimension", "space", "created_at"]
    list_filter = ["version__model__dataset"]
    list_select_related = ["version__model", "snapshot__dataset"]
    search_fields = ["space", "sha256", "version__model__name"]
    date_hierarchy = "created_at"
    ordering = ["-pk"]


@admin.register(Index)
class IndexAdmin(ReadOnlyAdmin):
    list_display = ["id", "version", "dataset", "kind", "count", "is_active", "created_at"]
    list_filter = ["is_active", "kind", "dataset"]
    list_select_related = ["version__model", "dataset", "embedding_set"]
    search_fields = ["sha256", "version__model__name", "dataset__name"]
    date_hierarchy = "created_at"
    ordering = ["-pk"]

    @admin.display(description="samples", ordering="embedding_set__count")
    def count(self, index: Index) -> int:
        return index.embedding_set.count
