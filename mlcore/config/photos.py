"""What a photo goes through: augmentation in training, preprocessing always."""

from typing import Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator
from pydantic_core import PydanticCustomError

from mlcore.config.frozen import Frozen


class Preprocess(Frozen):
    """From any RGB photo to the network's input; one object from training to the API, stored with the model."""

    size: PositiveInt = Field(96, ge=16, le=1024, description="Side of the square input, in pixels")
    fit: Literal["pad", "crop", "stretch"] = Field("stretch", description="How a photo becomes square")
    crop_share: float = Field(1.0, gt=0.5, le=1, description="fit=crop: share of the shorter side that is kept")
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[PositiveFloat, PositiveFloat, PositiveFloat] = (0.229, 0.224, 0.225)


class Augment(Frozen):
    """What training photos go through, before `Preprocess`; or the name of one of `AUGMENTS`, in its place."""

    flip: bool = True
    crop_scale_min: float = Field(0.6, gt=0, le=1, description="Smallest share of the area that a random crop keeps")
    colour: float = Field(0.2, ge=0, le=1, description="Strength of brightness, contrast and saturation jitter")
    rotation: float = Field(0, ge=0, le=180, description="Largest rotation to either side, in degrees")
    greyscale: float = Field(0, ge=0, le=1, description="Probability of losing all colour")
    blur: float = Field(0, ge=0, le=1, description="Probability of a Gaussian blur")
    erase: float = Field(0, ge=0, le=1, description="Probability of erasing a random rectangle")

    @model_validator(mode="before")
    @classmethod
    def named(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        if value not in AUGMENTS:
            raise PydanticCustomError("no_such_name", f"It should be one of: {', '.join(AUGMENTS)}, or settings")
        return AUGMENTS[value].model_dump()


AUGMENTS: dict[str, Augment] = {
    "none": Augment(flip=False, crop_scale_min=1, colour=0),
    "light": Augment(crop_scale_min=0.85, colour=0.1),
    "standard": Augment(),
    "strong": Augment(crop_scale_min=0.3, colour=0.4, rotation=10, greyscale=0.1, blur=0.1, erase=0.2),
}
