"""Embeddings and search, answered by the inference process."""

import base64
import struct
from typing import Any

from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.api.access import version_named
from apps.api.images import images_of
from apps.api.parsers import JsonParser
from apps.api.serializers import (
    EmbeddingAnswer,
    EmbeddingRequest,
    EmbeddingUpload,
    SearchAnswer,
    SearchRequest,
    SearchUpload,
)
from apps.core.errors import BadInput
from apps.search import client
from apps.search.selectors import neighbours_of
from apps.zoo.models import ModelVersion


class EmbeddingsView(APIView):
    """Embeddings, in the shape of the OpenAI endpoint."""

    scopes = {"POST": "embed"}
    parser_classes = [JsonParser, MultiPartParser]

    @extend_schema(
        summary="Embed images",
        request={"application/json": EmbeddingRequest, "multipart/form-data": EmbeddingUpload},
        responses=EmbeddingAnswer,
        operation_id="embeddings_create",
        tags=["inference"],
    )
    def post(self, request: Request) -> Response:
        """Embeds up to 32 images. The vectors are of unit length: their dot product is the cosine similarity."""
        form = EmbeddingRequest(data=request.data)
        form.is_valid(raise_exception=True)
        version = version_named(request, form.validated_data["model"])
        images = images_of(request, form.validated_data.get("input"))
        answer = client.embed(images, version)
        as_base64 = form.validated_data["encoding_format"] == "base64"
        data = [
            {"object": "embedding", "index": index, "embedding": pack(vector) if as_base64 else vector}
            for index, vector in enumerate(answer.vectors)
        ]
        return Response(
            {
                "object": "list",
                "data": data,
                "model": f"{version.model.name}:{version.number}",
                "space": answer.space,
                "dimension": answer.dimension,
                "usage": {"prompt_tokens": 0, "total_tokens": 0, "images": len(images)},
            }
        )


def pack(vector: list[float]) -> str:
    """A vector as base64 of little-endian float32, as OpenAI's clients expect it."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


class SearchView(APIView):
    """The nearest samples of an image or a vector."""

    scopes = {"POST": "search"}
    parser_classes = [JsonParser, MultiPartParser]

    @extend_schema(
        summary="Search by an image or a vector",
        request={"application/json": SearchRequest, "multipart/form-data": SearchUpload},
        responses=SearchAnswer,
        operation_id="search_create",
        tags=["inference"],
    )
    def post(self, request: Request) -> Response:
        """Finds the samples nearest to an image, or to a vector of the same space, nearest first."""
        form = (SearchUpload if "image" in request.FILES else SearchRequest)(data=request.data)
        form.is_valid(raise_exception=True)
        values = form.validated_data
        version = version_named(request, values["model"])
        hits = client.search(
            query_of(request, values, version),
            version=version,
            k=values["k"],
            category=values.get("category"),
            label=values.get("label"),
            box=values.get("box"),
            space=values.get("space"),
        )
        neighbours, _ = neighbours_of(dataset=version.model.dataset, hits=hits, label_id=None)
        return Response(
            {
                "model": f"{version.model.name}:{version.number}",
                "space": version.space,
                "hits": [
                    {
                        "sample": near.sample.pk,
                        "path": near.sample.path,
                        "label": near.sample.label.name if near.sample.label else None,
                        "category": near.sample.category.name if near.sample.category else None,
                        "score": near.score,
                        "thumbnail": reverse("api:samples-thumbnail", args=[near.sample.pk]),
                    }
                    for near in neighbours
                ],
            }
        )


def query_of(request: Request, values: dict[str, Any], version: ModelVersion) -> bytes | list[float]:
    """What is searched for: one image, or a vector. Raises BadInput; WrongSpace for a vector of another space."""
    if "vector" not in values:
        images = images_of(request, values.get("image"))
        if len(images) != 1:
            raise BadInput(f"The request holds {len(images)} images.", remedy="Search with one at a time.")
        return images[0]
    vector: list[float] = values["vector"]
    remedy = f"Embed the query with {version.model.name}:{version.number}, and send its space along."
    if values["space"] != version.space:
        raise client.WrongSpace(f"The vector is of {values['space']}, the index of {version.space}.", remedy=remedy)
    if len(vector) != version.dimension:
        raise BadInput(f"The vector has {len(vector)} numbers, the space {version.dimension}.", remedy=remedy)
    return vector
