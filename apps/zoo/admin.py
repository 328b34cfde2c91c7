"""The zoo in the admin: to find, to read, to publish and to retire. What made a version is never edited."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.db.models import Count, Prefetch, QuerySet
from django.db.models import Model as Row
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.formats import localize
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.timezone import localtime

from apps.accounts.models import User
from apps.core import metrics
from apps.core.errors import KindredError
from apps.core.templatetags.kindred import bytes_
from apps.zoo import services
from apps.zoo.models import Alias, AliasMove, Model, ModelVersion
from apps.zoo.selectors import metric_rows, run_of

NOTHING = "-"


def link(name: str, row: Row | None, text: str | None = None) -> SafeString | str:
    """A link to a page of the site; the bare text where there is no such page."""
    if row is None:
        return NOTHING
    try:
        return format_html('<a href="{}">{}</a>', reverse(name, args=[row.pk]), text or row)
    except NoReverseMatch:
        return text or str(row)


class ReadOnlyInline(admin.TabularInline[Any, Any]):
    """Rows to look at."""

    extra = 0
    can_delete = False

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return [str(name) for name in self.fields or ()]

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class VersionInline(ReadOnlyInline):
    model = ModelVersion
    fields = ["number", "state", "snapshot", "space", "dimension", "created_by", "created_at"]
    ordering = ["-number"]
    show_change_link = True

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("model", "snapshot__dataset", "created_by")


class AliasInline(ReadOnlyInline):
    model = Alias
    fields = ["name", "version"]
    verbose_name_plural = "aliases (moved by the action of a version's page, which keeps the history)"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("model", "version__model")


class AliasMoveInline(ReadOnlyInline):
    model = AliasMove
    fields = ["at", "name", "old_version", "new_version", "moved_by"]
    ordering = ["-pk"]
    verbose_name_plural = "history of the aliases"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        return rows.select_related("model", "old_version__model", "new_version__model", "moved_by")


class AliasFilter(admin.AllValuesFieldListFilter):
    """By the name of an alias, under a title that says so."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.title = "alias"


@admin.register(Model)
class ModelAdmin(admin.ModelAdmin[Model]):
    list_display = ["name", "dataset", "champion", "version_count", "created_at"]
    list_filter = ["dataset"]
    list_select_related = ["dataset"]
    search_fields = ["name", "description", "dataset__name"]
    readonly_fields = ["dataset", "created_at", "page"]
    fields = ["name", "description", "dataset", "created_at", "page"]
    date_hierarchy = "created_at"
    inlines = [AliasInline, VersionInline, AliasMoveInline]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # a model begins with a run that is published

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False  # its files, indexes and reports refer to it

    def get_queryset(self, request: HttpRequest) -> QuerySet[Model]:
        aliases = Alias.objects.filter(name=services.CHAMPION).select_related("version")
        rows = super().get_queryset(request).annotate(versions_made=Count("versions"))
        return rows.prefetch_related(Prefetch("aliases", aliases, to_attr="champions"))

    @admin.display(description="champion")
    def champion(self, model: Any) -> str:
        return f"v{model.champions[0].version.number}" if model.champions else NOTHING

    @admin.display(description="versions", ordering="versions_made")
    def version_count(self, model: Any) -> int:
        return int(model.versions_made)

    @admin.display(description="on the site")
    def page(self, model: Model) -> SafeString | str:
        return link("zoo:model", model)


@admin.register(ModelVersion)
class ModelVersionAdmin(admin.ModelAdmin[ModelVersion]):
    list_display = ["__str__", "state", "alias_names", "cmc_1", "dataset", "snapshot_number", "space", "size", "made"]
    list_display_links = ["__str__"]
    list_filter = [
        "state",
        ("aliases__name", AliasFilter),
        "model__dataset",
        ("created_by", admin.RelatedOnlyFieldListFilter),
    ]
    list_select_related = ["model__dataset", "snapshot", "created_by"]
    search_fields = ["model__name", "model__dataset__name", "space", "weights_sha256", "notes"]
    date_hierarchy = "created_at"
    ordering = ["-pk"]
    actions = ["publish", "retire"]
    fieldsets = [
        (None, {"fields": ["version_page", "state", "alias_names", "notes"]}),
        ("Lineage", {"fields": ["run_link", "snapshot_link", "dataset_link", "created_by", "created_at"]}),
        ("Files", {"fields": ["folder_key", "weights_sha256", "size", "space", "dimension"]}),
        ("Figures", {"fields": ["metrics_table"]}),
        ("Configuration", {"fields": ["config"], "classes": ["collapse"]}),
    ]

    def get_readonly_fields(self, request: HttpRequest, obj: ModelVersion | None = None) -> list[str]:
        shown = [name for _, options in self.fieldsets or [] for name in options["fields"]]
        return [str(name) for name in shown if name != "notes"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: ModelVersion | None = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[ModelVersion]:
        return super().get_queryset(request).prefetch_related("aliases")

    @admin.action(description="Publish the chosen versions", permissions=["change"])
    def publish(self, request: HttpRequest, queryset: QuerySet[ModelVersion]) -> None:
        self._each(request, queryset, services.version_publish, "published")

    @admin.action(description="Retire the chosen versions", permissions=["change"])
    def retire(self, request: HttpRequest, queryset: QuerySet[ModelVersion]) -> None:
        self._each(request, queryset, services.version_retire, "retired")

    def _each(
        self, request: HttpRequest, queryset: QuerySet[ModelVersion], service: Callable[..., ModelVersion], word: str
    ) -> None:
        """Calls a service on each; what is refused is said, and does not keep the others back."""
        assert isinstance(request.user, User)
        done: list[str] = []
        for version in queryset.select_related("model__dataset"):
            try:
                service(version=version, user=request.user)
            except KindredError as error:
                self.message_user(request, f"{error.detail} {error.remedy}".strip(), messages.ERROR)
            else:
                self.log_change(request, version, f"Was {word}.")
                done.append(str(version))
        if done:
            self.message_user(request, f"{', '.join(done)}: {word}.", messages.SUCCESS)

    @admin.display(description="aliases")
    def alias_names(self, version: ModelVersion) -> str:
        return ", ".join(sorted(alias.name for alias in version.aliases.all())) or NOTHING

    @admin.display(description="CMC@1", ordering="metrics__cmc@1")
    def cmc_1(self, version: ModelVersion) -> str:
        value = version.metrics.get("cmc@1")
        return NOTHING if value is None else f"{100 * value:.1f} %"

    @admin.display(description="dataset", ordering="model__dataset__name")
    def dataset(self, version: ModelVersion) -> str:
        return str(version.model.dataset)

    @admin.display(description="snapshot", ordering="snapshot__number")
    def snapshot_number(self, version: ModelVersion) -> int:
        return version.snapshot.number

    @admin.display(ordering="size_bytes")
    def size(self, version: ModelVersion) -> str:
        return bytes_(version.size_bytes)

    @admin.display(description="made", ordering="created_at")
    def made(self, version: ModelVersion) -> str:
        who = f" by {version.created_by}" if version.created_by else ""
        return f"{localize(localtime(version.created_at))}{who}"

    @admin.display(description="on the site")
    def version_page(self, version: ModelVersion) -> SafeString | str:
        return link("zoo:version", version)

    @admin.display(description="run")
    def run_link(self, version: ModelVersion) -> SafeString | str:
        return link("training:detail", run_of(version))

    @admin.display(description="snapshot")
    def snapshot_link(self, version: ModelVersion) -> SafeString | str:
        return link("datasets:snapshot", version.snapshot)

    @admin.display(description="dataset")
    def dataset_link(self, version: ModelVersion) -> SafeString | str:
        return link("datasets:detail", version.model.dataset)

    @admin.display(description="on the validation split")
    def metrics_table(self, version: ModelVersion) -> SafeString | str:
        rows = ((metrics.label(row["name"]), f"{100 * row['value']:.1f} %") for row in metric_rows(version.metrics, {}))
        return format_html("<dl>{}</dl>", format_html_join("", "<dt>{}</dt><dd>{}</dd>", rows))
