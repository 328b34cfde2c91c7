"""Datasets, labels, samples, models, runs and jobs: lists by keyset, one by id."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.http import Http404, HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import mixins, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.models import Role
from apps.api.access import caller, reach, require_role
from apps.api.parsers import JsonParser
from apps.api.serializers import (
    DatasetSerializer,
    JobSerializer,
    LabelSerializer,
    ModelSerializer,
    RunSerializer,
    SampleChange,
    SampleSerializer,
)
from apps.core.errors import BadInput, Forbidden
from apps.datasets.models import Dataset, Label, Sample, Split
from apps.datasets.photos import thumb_read
from apps.datasets.services import sample_edit
from apps.jobs.models import Job
from apps.jobs.selectors import can_cancel
from apps.jobs.services import job_cancel
from apps.training.models import Run
from apps.zoo.models import Model
from mlcore.images import ImageProblem

MAX_ID = 2**63 - 1


def parse_id(text: str) -> int:
    """Raises ValueError for what cannot be a key."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 19 and int(text) <= MAX_ID):
        raise ValueError(text)
    return int(text)


def parse_flag(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(text)
    return text == "true"


def parse_text(text: str) -> str:
    if "\0" in text or len(text) > 200:
        raise ValueError(text)
    return text


def one_of(*values: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in values:
            raise ValueError(text)
        return text

    return parse


@dataclass(frozen=True)
class Filter:
    """A query parameter of a list: what it looks up, how its text is read, and how the schema tells of it."""

    lookup: str
    parse: Callable[[str], str | int | bool] = parse_text
    type: type = str
    enum: tuple[str, ...] = ()


def choice(lookup: str, values: Iterable[str]) -> Filter:
    return Filter(lookup, one_of(*values), enum=tuple(values))


DATASET = Filter("dataset_id", parse_id, int)
PAGING = ("limit", "cursor")


class ReadOnly(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Any]):
    """List and detail. `filters`: query parameter -> Filter, and nothing else filters."""

    filters: dict[str, Filter] = {}
    scopes: dict[str, str] = {}
    lookup_value_regex = "[0-9]{1,18}"
    parser_classes = [JsonParser]

    def filter_queryset(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Raises BadInput for a parameter that is not known: a misspelt one would else answer with everything."""
        if self.action != "list":
            return queryset
        for name, text in self.request.query_params.items():
            if name in PAGING:
                continue
            if name not in self.filters:
                known = ", ".join([*self.filters, *PAGING])
                raise BadInput(f"There is no filter {name[:50]!r} here.", remedy=f"Known: {known}.")
            known_filter = self.filters[name]
            try:
                queryset = queryset.filter(**{known_filter.lookup: known_filter.parse(str(text))})
            except ValueError:
                values = ", ".join(value or "(empty)" for value in known_filter.enum)
                remedy = f"One of {values}." if values else "See /api/docs/ for its form."
                raise BadInput(f"{name}={str(text)[:50]!r} is not understood.", remedy=remedy) from None
        return queryset


def documented(view: type[ReadOnly]) -> type[ReadOnly]:
    """Groups a view's operations under its noun in the OpenAPI schema, describes them, and names its filters."""
    noun = view.__name__.removesuffix("ViewSet").lower()
    parameters = [
        OpenApiParameter(name, bool if known.parse is parse_flag else known.type, enum=known.enum or None)
        for name, known in view.filters.items()
    ]
    view = extend_schema_view(
        list=extend_schema(
            parameters=parameters, summary=f"List {noun}s", description=f"{view.__doc__} Page by page, by id."
        ),
        retrieve=extend_schema(summary=f"Get a {noun}", description=f"One {noun} by its id."),
    )(view)
    return extend_schema(tags=[f"{noun}s"])(view)


@documented
class DatasetViewSet(ReadOnly):
    """The datasets that you are a member of."""

    serializer_class = DatasetSerializer
    queryset = Dataset.objects.none()

    def get_queryset(self) -> QuerySet[Dataset]:
        return Dataset.objects.for_user(caller(self.request))


@documented
class LabelViewSet(ReadOnly):
    """The labels of your datasets."""

    serializer_class = LabelSerializer
    queryset = Label.objects.none()
    filters = {"dataset": DATASET, "category": Filter("category__name")}

    def get_queryset(self) -> QuerySet[Label]:
        mine = Dataset.objects.for_user(caller(self.request)).values("pk")
        return Label.objects.filter(dataset__in=mine).select_related("category")


@documented
class SampleViewSet(ReadOnly):
    """The samples of your datasets: photos, or boxes in photos."""

    serializer_class = SampleSerializer
    queryset = Sample.objects.none()
    scopes = {"PATCH": "annotate"}
    filters = {
        "dataset": DATASET,
        "label": Filter("label__name"),
        "category": Filter("category__name"),
        "split": choice("split", ["", *Split.values]),
        "is_query": Filter("is_query", parse_flag),
        "is_gallery": Filter("is_gallery", parse_flag),
    }

    def get_queryset(self) -> QuerySet[Sample]:
        mine = Sample.objects.for_user(caller(self.request))
        return mine.select_related("label", "category", "image", "dataset")

    @extend_schema(summary="Edit a sample", request=SampleChange, responses=SampleSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Changes a sample's label, split or flags, based on the version that the caller saw."""
        sample = reach(self.get_queryset(), int(pk))
        require_role(request, sample.dataset, Role.ANNOTATOR)
        form = SampleChange(data=request.data)
        form.is_valid(raise_exception=True)
        edited = sample_edit(sample=sample, user=caller(request), **form.validated_data)
        return Response(SampleSerializer(edited).data)

    @extend_schema(summary="Get a sample's photo", responses={(200, "image/webp"): OpenApiTypes.BINARY})
    @action(detail=True)
    def thumbnail(self, request: Request, pk: str) -> HttpResponse:
        """The sample's photo, cut to its box, as a WebP of at most 320 pixels a side."""
        sample = reach(self.get_queryset(), int(pk))
        try:
            data = thumb_read(sample, 320)
        except (FileNotFoundError, ImageProblem):
            raise Http404 from None
        return HttpResponse(data, content_type="image/webp", headers={"Cache-Control": "private, max-age=31536000"})


@documented
class ModelViewSet(ReadOnly):
    """The models of your datasets, with their versions and aliases."""

    serializer_class = ModelSerializer
    queryset = Model.objects.none()
    filters = {"dataset": DATASET, "name": Filter("name")}

    def get_queryset(self) -> QuerySet[Model]:
        return Model.objects.for_user(caller(self.request)).prefetch_related("versions__aliases")


@documented
class RunViewSet(ReadOnly):
    """The trainings in your datasets."""

    serializer_class = RunSerializer
    queryset = Run.objects.none()
    filters = {"dataset": DATASET}

    def get_queryset(self) -> QuerySet[Run]:
        return Run.objects.for_user(caller(self.request)).select_related("job")


@documented
class JobViewSet(ReadOnly):
    """Long work: your own, and that in your datasets."""

    serializer_class = JobSerializer
    queryset = Job.objects.none()
    scopes = {"POST": "manage"}
    filters = {
        "dataset": DATASET,
        "kind": choice("kind", settings.JOB_KINDS),
        "state": choice("state", Job.State.values),
    }

    def get_queryset(self) -> QuerySet[Job]:
        return Job.objects.for_user(caller(self.request)).defer("log_tail", "payload")

    @extend_schema(summary="Cancel a job", request=None, responses=JobSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        """Asks a job to stop. A final job stays as it is."""
        job = reach(self.get_queryset(), int(pk))
        if not can_cancel(job=job, user=caller(request)):
            raise Forbidden("Only the one who started it or a manager of the dataset may cancel it.")
        return Response(JobSerializer(job_cancel(job=job)).data)
