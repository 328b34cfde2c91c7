"""The catalogue's facts against the libraries that hold the weights."""

from mlcore import compat  # noqa: F401  # isort: skip  (before torchvision)

import re

import pytest
import torch
import torchvision

from mlcore.catalogue import CATALOGUE, Pretrained, TimmHub, TorchvisionWeights, Url, find_pretrained
from mlcore.config import ModelConfig
from mlcore.errors import InputError
from mlcore.extractors.network import new_network

ENTRIES = list(CATALOGUE.values())
OF_TORCHVISION = [entry for entry in ENTRIES if isinstance(entry.source, TorchvisionWeights)]
OF_TIMM = [entry for entry in ENTRIES if isinstance(entry.source, TimmHub)]


def test_all_that_was_promised_is_there() -> None:
    names = " ".join(CATALOGUE)
    for family in ("imagenet", "moco_v2", "moco_v3", "dino", "dinov2", "clip", "siglip", "unicom"):
        assert re.search(rf"_{family}\b", names), family


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_every_entry_is_whole(entry: Pretrained) -> None:
    assert all([entry.title, entry.origin, entry.licence])
    assert entry.checksum is None or re.fullmatch(r"sha256:[0-9a-f]{8,64}|md5:[0-9a-f]{8,32}", entry.checksum)
    if isinstance(entry.source, Url):
        assert entry.source.url.startswith("https://")
    ModelConfig(
        extractor=entry.extractor,
        preprocess=entry.preprocess,
        dimension=entry.dimension,
        weights_sha256="",
        space="",
    )


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_its_embedding_has_the_length_that_it_says(entry: Pretrained) -> None:
    if entry.extractor.kind in ("timm", "unicom"):
        pytest.importorskip("timm")
    size = entry.preprocess.size
    with torch.device("meta"):
        network = new_network(entry.extractor, size=size, preprocess=entry.preprocess).eval()
        assert network(torch.zeros(2, 3, size, size)).shape == (2, entry.dimension)
    if entry.extractor.kind == "unicom":  # half precision
        assert sum(2 * value.numel() for value in network.state_dict().values()) / 1e6 == pytest.approx(
            entry.megabytes, rel=0.01
        )


@pytest.mark.parametrize("entry", OF_TORCHVISION, ids=lambda entry: entry.name)
def test_torchvisions_facts(entry: Pretrained) -> None:
    weights = torchvision.models.get_weight(entry.source.name)
    transform = weights.transforms()
    assert weights.url.endswith(f"-{entry.checksum.removeprefix('sha256:')}.pth")
    assert entry.megabytes == pytest.approx(weights.meta["_file_size"] * 2**20 / 1e6, rel=0.01)
    assert entry.preprocess.size == transform.crop_size[0]
    assert round(entry.preprocess.size / entry.preprocess.crop_share) == transform.resize_size[0]
    assert entry.preprocess.interpolation == transform.interpolation.value
    assert (*entry.preprocess.mean, *entry.preprocess.std) == (*transform.mean, *transform.std)


@pytest.mark.parametrize("entry", OF_TIMM, ids=lambda entry: entry.name)
def test_timms_facts(entry: Pretrained) -> None:
    timm = pytest.importorskip("timm")
    published = timm.get_pretrained_cfg(entry.extractor.arch)
    assert entry.source.repo == published.hf_hub_id
    assert entry.preprocess.interpolation == published.interpolation
    assert (*entry.preprocess.mean, *entry.preprocess.std) == (*published.mean, *published.std)
    with torch.device("meta"):
        parameters = sum(each.numel() for each in timm.create_model(entry.extractor.arch).parameters())
    assert entry.megabytes == pytest.approx(4 * parameters / 1e6, rel=0.01)


def test_an_unknown_name_is_met_with_those_that_are_near() -> None:
    assert find_pretrained("vit_s_16_dino").dimension == 384
    with pytest.raises(InputError, match=r"called vit_s_16_dinno.*vit_s_16_dino"):
        find_pretrained("vit_s_16_dinno")
