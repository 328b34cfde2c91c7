"""Datasets, labels, samples, models, runs and jobs: lists by keyset, one by id."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import mixins, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.models import Role
from apps.api.access import caller, reach, require_role
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
from apps.datasets.models import Dataset, Label, Sample
from apps.datasets.services import sample_edit
from apps.jobs.models import Job
from apps.jobs.services import job_cancel
from apps.training.models import Run
from apps.zoo.models import Model


class ReadOnly(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Any]):
    """List and detail. `filters`: query parameter -> lookup, and nothing else filters."""

    filters: dict[str, str] = {}
    scopes: dict[str, str] = {}
    lookup_value_regex = r"\d+"

    def filter_queryset(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.action != "list":
            return queryset
        for name, lookup in self.filters.items():
            value = self.request.query_params.get(name)
            if value is None:
                continue
            try:
                queryset = queryset.filter(**{lookup: self.parsed(lookup, value)})
            except ValueError:
                raise BadInput(f"{name}={value} is not understood.", remedy="See /api/docs/ for its form.") from None
        return queryset

    @staticmethod
    def parsed(lookup: str, value: str) -> str | int | bool:
        if lookup.endswith("_id"):
            return int(value)
        if lookup.startswith("is_"):
            if value not in ("true", "false"):
                raise ValueError(value)
            return value == "true"
        return value


def filter_parameters(*names: str) -> Any:
    """Names a list's filters in the OpenAPI schema."""
    return extend_schema_view(list=extend_schema(parameters=[OpenApiParameter(name, str) for name in names]))


class DatasetViewSet(ReadOnly):
    serializer_class = DatasetSerializer
    queryset = Dataset.objects.none()

    def get_queryset(self) -> QuerySet[Dataset]:
        return Dataset.objects.for_user(caller(self.request))


@filter_parameters("dataset", "category")
class LabelViewSet(ReadOnly):
    serializer_class = LabelSerializer
    queryset = Label.objects.none()
    filters = {"dataset": "dataset_id", "category": "category__name"}

    def get_queryset(self) -> QuerySet[Label]:
        mine = Dataset.objects.for_user(caller(self.request)).values("pk")
        return Label.objects.filter(dataset__in=mine).select_related("category")


@filter_parameters("dataset", "label", "category", "split", "is_query", "is_gallery")
class SampleViewSet(ReadOnly):
    serializer_class = SampleSerializer
    queryset = Sample.objects.none()
    scopes = {"PATCH": "annotate"}
    filters = {
        "dataset": "dataset_id",
        "label": "label__name",
        "category": "category__name",
        "split": "split",
        "is_query": "is_query",
        "is_gallery": "is_gallery",
    }

    def get_queryset(self) -> QuerySet[Sample]:
        mine = Sample.objects.for_user(caller(self.request))
        return mine.select_related("label", "category", "image", "dataset")

    @extend_schema(request=SampleChange, responses=SampleSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        sample = reach(self.get_queryset(), int(pk))
        require_role(request, sample.dataset, Role.ANNOTATOR)
        form = SampleChange(data=request.data)
        form.is_valid(raise_exception=True)
        sample_edit(sample=sample, user=caller(request), **form.validated_data)
        return Response(SampleSerializer(reach(self.get_queryset(), int(pk))).data)


@filter_parameters("dataset", "name")
class ModelViewSet(ReadOnly):
    serializer_class = ModelSerializer
    queryset = Model.objects.none()
    filters = {"dataset": "dataset_id", "name": "name"}

    def get_queryset(self) -> QuerySet[Model]:
        return Model.objects.for_user(caller(self.request)).prefetch_related("versions__aliases")


@filter_parameters("dataset")
class RunViewSet(ReadOnly):
    serializer_class = RunSerializer
    queryset = Run.objects.none()
    filters = {"dataset": "dataset_id"}

    def get_queryset(self) -> QuerySet[Run]:
        return Run.objects.for_user(caller(self.request)).select_related("job")


@filter_parameters("dataset", "kind", "state")
class JobViewSet(ReadOnly):
    serializer_class = JobSerializer
    queryset = Job.objects.none()
    scopes = {"POST": "manage"}
    filters = {"dataset": "dataset_id", "kind": "kind", "state": "state"}

    def get_queryset(self) -> QuerySet[Job]:
        return Job.objects.for_user(caller(self.request))

    @extend_schema(request=None, responses=JobSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        """Asks a job to stop. A final job stays as it is."""
        job = reach(self.get_queryset(), int(pk))
        if job.owner_id != caller(request).pk:
            if job.dataset is None:
                raise Forbidden("Only its owner may cancel this job.")
            require_role(request, job.dataset, Role.MANAGER)
        return Response(JobSerializer(job_cancel(job=job)).data)
