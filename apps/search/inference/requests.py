"""Requests, parsed and checked before anything is done with them."""

import base64
import binascii
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from apps.search.inference.problems import Unusable

IMAGES_MAX = 32
K_MAX = 1000
DIMENSION_MAX = 4096


def _bytes(value: object) -> bytes:
    if not isinstance(value, str):
        raise ValueError("an image is base64 text")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("an image is not base64") from None


Photo = Annotated[bytes, BeforeValidator(_bytes)]


class Request(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int


class EmbedRequest(Request):
    images: list[Photo] = Field(min_length=1, max_length=IMAGES_MAX)


class SearchRequest(Request):
    """An image, or a vector with its space."""

    image: Photo | None = None
    box: tuple[int, int, int, int] | None = None  # pixels after EXIF rotation
    vector: list[float] | None = Field(None, min_length=1, max_length=DIMENSION_MAX)
    space: str | None = None
    k: int = Field(10, ge=1, le=K_MAX)
    category: str | None = None
    label: str | None = None
    exclude: list[int] = Field([], max_length=K_MAX)

    @model_validator(mode="after")
    def one_query(self) -> "SearchRequest":
        if (self.image is None) == (self.vector is None):
            raise ValueError("give either an image or a vector")
        if self.vector is not None and self.space is None:
            raise ValueError("a vector needs its space: without it nobody can tell whether it may be compared")
        return self


def parse_embed(body: bytes) -> EmbedRequest:
    """Raises Unusable."""
    try:
        return EmbedRequest.model_validate_json(body)
    except ValidationError as error:
        raise _unusable(error) from None


def parse_search(body: bytes) -> SearchRequest:
    """Raises Unusable."""
    try:
        return SearchRequest.model_validate_json(body)
    except ValidationError as error:
        raise _unusable(error) from None


def _unusable(error: ValidationError) -> Unusable:
    first = error.errors(include_input=False, include_url=False)[0]
    place = ".".join(map(str, first["loc"]))
    words = first["msg"].removeprefix("Value error, ")
    return Unusable(f"{place}: {words}." if place else f"{words[:1].upper()}{words[1:]}.", "Correct the request.")
