"""Recipes to begin with."""

from mlcore.config.extractors import ResNet
from mlcore.config.losses import Triplet
from mlcore.config.miners import AllMiner
from mlcore.config.photos import Augment, Preprocess
from mlcore.config.recipe import Recipe

PRESETS: dict[str, Recipe] = {
    "demo": Recipe(
        # The best of nine on labels held out of the demo's train rows, by benchmarks/demo_preset.py (docs/results.md).
        steps=45,
        validate_every=15,
        checkpoint_every=15,
        preprocess=Preprocess(size=64),
        augment=Augment(crop_scale_min=0.85),
        loss=Triplet(miner=AllMiner()),
    ),
    "quick": Recipe(steps=160, validate_every=160, checkpoint_every=80, augment=Augment(crop_scale_min=0.85, colour=0)),
    "standard": Recipe(steps=390, validate_every=130, checkpoint_every=65),
    "best": Recipe(
        steps=1200,
        validate_every=200,
        checkpoint_every=100,
        extractor=ResNet(arch="resnet34", dimension=256),
        preprocess=Preprocess(size=128),
    ),
}
