"""The shapes of the REST API."""

from typing import Any

from django.urls import reverse
from drf_spectacular.utils import extend_schema_field
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
    label = serializers.CharField(source="label.name", default=None)  # type: ignore[assignment]
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
        return reverse("api:samples-thumbnail", args=[sample.pk])


class SampleChange(serializers.Serializer[Any]):
    """`version` is the one that the change is based on; when it is no longer current the answer is 409.

    What is left out stays as it is.
    """

    version = serializers.IntegerField(min_value=1)
    label = serializers.CharField(  # type: ignore[assignment]
        required=False, allow_blank=True, max_length=200, help_text="Made when there is none yet; empty: taken away"
    )
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


MODEL_HELP = "name:version, name@alias, or a name alone, which means its champion"


class EmbeddingUpload(serializers.Serializer[Any]):
    """Images as files, each in a part named `image`."""

    model = serializers.CharField(max_length=200, help_text=MODEL_HELP)
    image = serializers.ListField(child=serializers.FileField(), min_length=1, max_length=32)
    encoding_format = serializers.ChoiceField(choices=["float", "base64"], default="float")


@extend_schema_field(
    {"oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 32}]}
)
class ImageInput(serializers.JSONField):
    """One text or a list of texts; `images_of` looks closer."""


class EmbeddingRequest(serializers.Serializer[Any]):
    """The shape of the OpenAI endpoint. `input`: images in base64 or as data URIs, one or a list of up to 32."""

    model = serializers.CharField(max_length=200, help_text=MODEL_HELP)
    input = ImageInput(required=False, help_text="Base64 or data URI of an image's file, or a list of up to 32")
    encoding_format = serializers.ChoiceField(choices=["float", "base64"], default="float")


@extend_schema_field({"oneOf": [{"type": "array", "items": {"type": "number"}}, {"type": "string"}]})
class Vector(serializers.JSONField):
    """Numbers, or base64."""


class EmbeddingItem(serializers.Serializer[Any]):
    object = serializers.CharField(default="embedding")
    index = serializers.IntegerField()
    embedding = Vector(help_text="Numbers, or base64 of little-endian float32")


class EmbeddingAnswer(serializers.Serializer[Any]):
    object = serializers.CharField(default="list")
    data = EmbeddingItem(many=True)  # type: ignore[assignment]
    model = serializers.CharField()
    space = serializers.CharField(help_text="Vectors of two spaces must not be compared")
    dimension = serializers.IntegerField()
    usage = serializers.DictField(child=serializers.IntegerField())


class SearchCommon(serializers.Serializer[Any]):
    """What both ways of sending a search share."""

    model = serializers.CharField(max_length=200, help_text=MODEL_HELP)
    k = serializers.IntegerField(min_value=1, max_value=200, default=10)
    category = serializers.CharField(required=False, max_length=200, help_text="Only samples of this category")
    label = serializers.CharField(  # type: ignore[assignment]
        required=False, max_length=200, help_text="Only samples of this label"
    )
    box = serializers.ListField(
        child=serializers.IntegerField(min_value=0, max_value=1_000_000),
        required=False,
        min_length=4,
        max_length=4,
        help_text="x_1, y_1, x_2, y_2 in pixels: the part of the image that is meant",
    )

    def validate_box(self, box: list[int]) -> list[int]:
        if not (box[0] < box[2] and box[1] < box[3]):
            raise serializers.ValidationError("x_1 must lie left of x_2, y_1 above y_2.")
        return box


class SearchUpload(SearchCommon):
    """An image as a file."""

    image = serializers.FileField()


class SearchRequest(SearchCommon):
    """An image in base64 or as a data URI, or a vector together with its space."""

    image = serializers.JSONField(required=False)
    vector = serializers.ListField(child=serializers.FloatField(), required=False, min_length=1, max_length=4096)
    space = serializers.CharField(required=False, max_length=64, help_text="The space that came with the vector")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "vector" in attrs and "image" in attrs:
            raise serializers.ValidationError("Give either an image or a vector.")
        if "vector" in attrs and "space" not in attrs:
            raise serializers.ValidationError("A vector needs its space: else nobody knows whether it may be compared.")
        return attrs


class HitSerializer(serializers.Serializer[Any]):
    sample = serializers.IntegerField()
    path = serializers.CharField(help_text="The photo's, as it was imported")
    label = serializers.CharField(allow_null=True)  # type: ignore[assignment]
    category = serializers.CharField(allow_null=True)
    score = serializers.FloatField(help_text="Cosine similarity, -1..1")
    thumbnail = serializers.CharField()


class SearchAnswer(serializers.Serializer[Any]):
    model = serializers.CharField()
    space = serializers.CharField()
    hits = HitSerializer(many=True)
