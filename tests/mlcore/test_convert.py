"""Somebody's checkpoint becomes a model folder, or nothing."""

from pathlib import Path

import pytest
import torch

from mlcore.config import Handcrafted, NoHead, Preprocess, ViT
from mlcore.convert import convert_checkpoint
from mlcore.errors import InputError
from mlcore.extractors import build_extractor
from mlcore.model import load_model

BARE = ViT(dimension=192, head=NoHead())
PREPROCESS = Preprocess(size=32)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    state = build_extractor(BARE, size=32).backbone.state_dict()
    torch.save({"state_dict": {f"model.model.{name}": value for name, value in state.items()}}, tmp_path / "oml.ckpt")
    return tmp_path / "oml.ckpt"


def test_a_lightning_checkpoint_becomes_a_model(checkpoint: Path, tmp_path: Path) -> None:
    config = convert_checkpoint(checkpoint, BARE, tmp_path / "model", preprocess=PREPROCESS)
    model = load_model(tmp_path / "model")
    torch.manual_seed(0)
    original = build_extractor(BARE, size=32).eval()
    photos = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    with torch.inference_mode():
        expected = original(model.preprocess.normalise(photos)).numpy()
    assert abs(model.embed_batch(photos) - expected).max() < 1e-6
    assert model.config == config


def test_no_model_with_a_head_that_nobody_trained(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no linear head that fits.*head\.kind to none"):
        convert_checkpoint(checkpoint, ViT(dimension=8), tmp_path / "model", preprocess=PREPROCESS)
    assert not (tmp_path / "model").exists()


def test_there_is_nothing_to_convert_for_what_has_no_weights(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing to convert"):
        convert_checkpoint(checkpoint, Handcrafted(), tmp_path / "model")
