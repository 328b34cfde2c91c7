"""The shapes of the REST API."""

from typing import Any

from django.urls import reverse
from rest_framework import serializers

from apps.datasets.models import Dataset, Label, Sample, Split
from apps.jobs.models import Job
from apps.training.models import Run
from apps.zoo.models import Model, ModelVersion


class DatasetSerializer(serializers.ModelSerializer[Dataset]):
    class Meta:
        model = Dataset
        fields = ["id", "name", "description", "created_at"]


class LabelSerializer(serializers.ModelSerializer[Label]):
    category = serializers.CharField(source="category.name", default=None)

    class Meta:
        model = Label
        fields = ["id", "dataset", "name", "category", "version"]


class SampleSerializer(serializers.ModelSerializer[Sample]):
    label = serializers.CharField(source="label.name", default=None)
    category = serializers.CharField(source="category.name", default=None)
    box = serializers.ListField(child=serializers.IntegerField(), allow_null=True, help_text="x_1, y_1, x_2, y_2")
    sha256 = serializers.CharField(source="image.sha256")
    thumbnail = serializers.SerializerMethodField()

    class Meta:
        model = Sample
        fields = [
            "id",
            "dataset",
            "path",
            "label",
            "category",
            "split",
            "is_query",
            "is_gallery",
            "sequence",
            "box",
            "sha256",
            "version",
            "thumbnail",
        ]

    def get_thumbnail(self, sample: Sample) -> str:
        return reverse("datasets:thumb", args=[sample.pk, 320])


class SampleChange(serializers.Serializer[Any]):
    """`version` is the one that the change is based on; when it is no longer current the answer is 409."""

    version = serializers.IntegerField()
    label = serializers.CharField(required=False, max_length=200)
    split = serializers.ChoiceField(choices=Split.choices, required=False)
    is_query = serializers.BooleanField(required=False)
    is_gallery = serializers.BooleanField(required=False)


class ModelVersionSerializer(serializers.ModelSerializer[ModelVersion]):
    aliases = serializers.SlugRelatedField[Any](slug_field="name", many=True, read_only=True)

    class Meta:
        model = ModelVersion
        fields = [
            "id",
            "number",
            "state",
            "aliases",
            "space",
            "dimension",
            "weights_sha256",
            "size_bytes",
            "metrics",
            "snapshot",
            "created_at",
        ]


class ModelSerializer(serializers.ModelSerializer[Model]):
    versions = ModelVersionSerializer(many=True, read_only=True)

    class Meta:
        model = Model
        fields = ["id", "name", "dataset", "description", "versions"]


class RunSerializer(serializers.ModelSerializer[Run]):
    state = serializers.CharField(source="job.state")

    class Meta:
        model = Run
        fields = [
            "id",
            "name",
            "dataset",
            "snapshot",
            "preset",
            "state",
            "job",
            "untrained_metrics",
            "metrics",
            "created_at",
        ]


class JobSerializer(serializers.ModelSerializer[Job]):
    class Meta:
        model = Job
        fields = [
            "id",
            "kind",
            "title",
            "state",
            "dataset",
            "attempt",
            "stage",
            "progress_done",
            "progress_total",
            "progress_unit",
            "cancel_requested",
            "error",
            "result",
            "created_at",
            "started_at",
            "finished_at",
        ]


class EmbeddingRequest(serializers.Serializer[Any]):
    """The shape of the OpenAI endpoint. `input`: images in base64 or as data URIs, one or a list of up to 32."""

    model = serializers.CharField(help_text="Name, name:version, or name@alias; a name alone means its champion")
    input = serializers.JSONField(required=False, help_text="Base64 or data URI, or a list of them")
    encoding_format = serializers.ChoiceField(choices=["float", "base64"], default="float")


class EmbeddingItem(serializers.Serializer[Any]):
    object = serializers.CharField(default="embedding")
    index = serializers.IntegerField()
    embedding = serializers.JSONField(help_text="Numbers, or base64 of little-endian float32")


class EmbeddingAnswer(serializers.Serializer[Any]):
    object = serializers.CharField(default="list")
    data = EmbeddingItem(many=True)  # type: ignore[assignment]
    model = serializers.CharField()
    space = serializers.CharField(help_text="Vectors of two spaces must not be compared")
    dimension = serializers.IntegerField()
    usage = serializers.DictField(child=serializers.IntegerField())


class SearchRequest(serializers.Serializer[Any]):
    """An image (base64, data URI, or the multipart file `image`), or a vector with its space."""

    model = serializers.CharField()
    image = serializers.CharField(required=False)
    vector = serializers.ListField(child=serializers.FloatField(), required=False, max_length=4096)
    space = serializers.CharField(required=False)
    k = serializers.IntegerField(min_value=1, max_value=200, default=10)
    category = serializers.CharField(required=False)
    label = serializers.CharField(required=False)


class HitSerializer(serializers.Serializer[Any]):
    sample = serializers.IntegerField()
    label = serializers.CharField(allow_null=True)  # type: ignore[assignment]
    category = serializers.CharField(allow_null=True)
    score = serializers.FloatField(help_text="Cosine similarity, -1..1")
    thumbnail = serializers.CharField()


class SearchAnswer(serializers.Serializer[Any]):
    model = serializers.CharField()
    space = serializers.CharField()
    hits = HitSerializer(many=True)
