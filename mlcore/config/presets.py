"""Recipes to begin with."""

from typing import Any

from mlcore.config.extractors import ResNet
from mlcore.config.losses import ProxyAnchor, Triplet
from mlcore.config.miners import AllMiner
from mlcore.config.photos import Augment, Preprocess
from mlcore.config.recipe import Recipe
from mlcore.config.training import Optimizer

# Chosen on train labels held out, by benchmarks/quality.py (docs/results.md).
BY_LABELS_HELD_OUT: dict[str, Any] = {
    "extractor": ResNet(statistics=True),
    "augment": Augment(crop_scale_min=0.85, colour=0),
    "loss": ProxyAnchor(),
    "optimizer": Optimizer(loss_lr=10),
}

PRESETS: dict[str, Recipe] = {
    "demo": Recipe(
        # The best on labels held out of the demo's train rows, by benchmarks/demo_preset.py (docs/results.md).
        extractor=ResNet(statistics=True),
        steps=45,
        validate_every=15,
        checkpoint_every=15,
        preprocess=Preprocess(size=64),
        augment=Augment(crop_scale_min=0.85),
        loss=Triplet(miner=AllMiner()),
    ),
    "quick": Recipe(**BY_LABELS_HELD_OUT, steps=100, validate_every=100, checkpoint_every=50),
    "standard": Recipe(**BY_LABELS_HELD_OUT, steps=400, validate_every=200, checkpoint_every=100),
    "best": Recipe(
        **BY_LABELS_HELD_OUT | {"extractor": ResNet(arch="resnet34", dimension=256, statistics=True)},
        steps=1200,
        validate_every=200,
        checkpoint_every=100,
        preprocess=Preprocess(size=128),
    ),
}
