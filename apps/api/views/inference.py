"""Embeddings and search, answered by the inference process."""

import base64
import struct

from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework.parsers import JSONParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.api.access import version_named
from apps.api.images import images_of
from apps.api.serializers import EmbeddingAnswer, EmbeddingRequest, SearchAnswer, SearchRequest
from apps.core.errors import BadInput
from apps.datasets.models import Sample
from apps.search import client


class EmbeddingsView(APIView):
    """Embeddings of up to 32 images, in the shape of the OpenAI endpoint."""

    scopes = {"POST": "embed"}
    parser_classes = [JSONParser, MultiPartParser]

    @extend_schema(request=EmbeddingRequest, responses=EmbeddingAnswer, operation_id="embeddings_create")
    def post(self, request: Request) -> Response:
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
    """The nearest samples of an image, or of a vector of the same space."""

    scopes = {"POST": "search"}
    parser_classes = [JSONParser, MultiPartParser]

    @extend_schema(request=SearchRequest, responses=SearchAnswer, operation_id="search_create")
    def post(self, request: Request) -> Response:
        form = SearchRequest(data=request.data)
        form.is_valid(raise_exception=True)
        values = form.validated_data
        version = version_named(request, values["model"])
        query: bytes | list[float]
        if "vector" in values:
            if values.get("space") != version.space:
                given = values.get("space") or "no space"
                remedy = f"Embed the query with {version.model.name}:{version.number}, and send its space along."
                raise BadInput(f"The vector is of {given}, the index of {version.space}.", remedy=remedy)
            query = values["vector"]
        else:
            images = images_of(request, values.get("image"))
            if len(images) != 1:
                raise BadInput(f"The request holds {len(images)} images.", remedy="Search with one at a time.")
            query = images[0]
        hits = client.search(
            query, version=version, k=values["k"], category=values.get("category"), label=values.get("label")
        )
        found = Sample.objects.select_related("label", "category").in_bulk([hit.sample_id for hit in hits])
        return Response(
            {
                "model": f"{version.model.name}:{version.number}",
                "space": version.space,
                "hits": [
                    {
                        "sample": hit.sample_id,
                        "label": sample.label.name if sample.label else None,
                        "category": sample.category.name if sample.category else None,
                        "score": hit.score,
                        "thumbnail": reverse("datasets:thumb", args=[hit.sample_id, 320]),
                    }
                    for hit in hits
                    if (sample := found.get(hit.sample_id)) is not None
                ],
            }
        )
