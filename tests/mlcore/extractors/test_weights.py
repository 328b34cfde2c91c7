"""Weights out of the files that people have; pickles that pose as weights; mismatches, all of them."""

import io
import os
import pickle
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from mlcore.config import LinearHead, ResNet
from mlcore.errors import InputError
from mlcore.extractors import build_extractor, read_weights
from mlcore.extractors.weights import fill
from tests.mlcore.extractors.making import same, tiny

State = dict[str, Tensor]
OWN: State = tiny(1).backbone.state_dict()
OTHER: State = tiny(2).backbone.state_dict()
PROXIES = torch.ones(5, 6)


def under(prefix: str, state: State) -> State:
    return {f"{prefix}{name}": value for name, value in state.items()}


LAYOUTS: dict[str, Any] = {
    "plain": OWN,
    "several processes": under("module.", OWN),
    "compiled": under("_orig_mod.module.", OWN),
    "in a container": {"model": OWN, "optimizer": {"state": {}}, "epoch": 3},
    "named as usual": {"epoch": 3, "model_state_dict": OWN},
    "lightning": {
        "epoch": 1,
        "pytorch-lightning_version": "2.4.0",
        "state_dict": {**under("model.", OWN), "criterion.weight": PROXIES},
        "optimizer_states": [],
        "hyper_parameters": {"lr": 0.1},
    },
    "open metric learning": {"state_dict": {**under("model.model.", OWN), "criterion.weight": PROXIES}, "epoch": 1},
    "its head beside it": {"state_dict": {**under("extractor.model.", OWN), "projection.0.weight": PROXIES}},
    "moco v2": {
        "arch": "resnet50",
        "state_dict": {
            **under("module.encoder_q.", OWN),
            "module.encoder_q.fc.0.weight": PROXIES,
            **under("module.encoder_k.", OTHER),
            "module.queue": PROXIES,
        },
    },
    "moco v3": {
        "state_dict": {
            **under("module.base_encoder.", OWN),
            "module.base_encoder.fc.0.weight": PROXIES,
            **under("module.momentum_encoder.", OTHER),
            "module.predictor.0.weight": PROXIES,
        }
    },
    "dino": {
        "student": under("module.backbone.", OTHER),
        "teacher": {**under("backbone.", OWN), "head.mlp.0.weight": PROXIES},
        "epoch": 1,
    },
    "with a classifier": {**OWN, "fc.weight": PROXIES, "fc.bias": PROXIES[0]},
    "before batches were counted": {name: value for name, value in OWN.items() if "num_batches" not in name},
    "half": {name: value.half() if value.is_floating_point() else value for name, value in OWN.items()},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_that_people_have(layout: str, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.ckpt"
    torch.save(LAYOUTS[layout], path)
    network = tiny(0)
    assert fill(network, read_weights(path), "They") is False
    found = network.backbone.state_dict()
    if layout == "half":
        assert all(torch.allclose(value, OWN[name], rtol=1e-3) for name, value in found.items())
        assert found["conv1.weight"].dtype == torch.float32
    elif layout == "before batches were counted":
        assert same({**found, **OWN}, OWN | {name: found[name] for name in found.keys() - OWN.keys()})
        assert torch.equal(found["conv1.weight"], OWN["conv1.weight"])
    else:
        assert same(found, OWN)


def test_files_from_before_zip_and_safetensors_without_its_ending(tmp_path: Path) -> None:
    torch.save(OWN, tmp_path / "old.pth.tar", _use_new_zipfile_serialization=False)
    save_file(OWN, tmp_path / "weights.bin")
    assert same(read_weights(tmp_path / "old.pth.tar"), OWN)
    assert same(read_weights(tmp_path / "weights.bin"), OWN)


def test_a_whole_model_fills_its_head_and_says_so() -> None:
    one, other = tiny(1, 4, LinearHead()), tiny(2, 4, LinearHead())
    assert fill(other, under("module.", one.state_dict()), "They") is True
    assert same(one.state_dict(), other.state_dict())


def test_a_backbone_alone_leaves_the_head_as_it_is() -> None:
    network = tiny(0, 4, LinearHead())
    head = network.head.weight.clone()
    assert fill(network, OWN, "They") is False
    assert torch.equal(network.head.weight, head)


class Trap:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("name", ["model.pt", "model.ckpt", "model.safetensors", "model"])
@pytest.mark.parametrize("saved", ["torch", "old torch", "pickle"])
def test_a_pickle_that_poses_as_weights_is_refused_and_nothing_of_it_runs(
    name: str, saved: str, tmp_path: Path
) -> None:
    path, sprung = tmp_path / name, tmp_path / "sprung"
    content = {"state_dict": {**OWN, "trap": Trap(sprung)}}
    if saved == "pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=saved == "torch")
    with pytest.raises(InputError) as refused:
        read_weights(path)
    assert not sprung.exists()
    assert str(path) in str(refused.value)
    assert "weights_only" not in str(refused.value)  # no advice to run it
    if not name.endswith(".safetensors"):
        assert "nothing of them was run" in str(refused.value)
    # The trap is a real one.
    pickle.loads(path.read_bytes()) if saved == "pickle" else torch.load(  # noqa: S301
        io.BytesIO(path.read_bytes()), weights_only=False
    )
    assert sprung.exists()


def test_what_else_a_checkpoint_holds_is_named(tmp_path: Path) -> None:
    torch.save({"state_dict": OWN, "args": Namespace(lr=1)}, tmp_path / "a.pt")
    with pytest.raises(InputError, match=r"argparse\.Namespace, which is code.*save the state_dict alone"):
        read_weights(tmp_path / "a.pt")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not a zip", b"hello", b"\x80\x02}q\x00.", bytes(8) + b"{"])
def test_what_is_no_weights_at_all(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"weights\.pt"):
        read_weights(path)


def test_a_program_is_no_weights(tmp_path: Path) -> None:
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), tmp_path / "a.pt")
    with pytest.raises(InputError, match=r"neither safetensors nor a PyTorch checkpoint: .*TorchScript"):
        read_weights(tmp_path / "a.pt")


def test_no_file_and_no_weights_inside(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_weights(tmp_path / "none.pt")
    torch.save({"epoch": 1, "optimizer": {}}, tmp_path / "a.pt")
    with pytest.raises(InputError, match="It holds: epoch, optimizer"):
        read_weights(tmp_path / "a.pt")
    torch.save([1, 2], tmp_path / "b.pt")
    with pytest.raises(InputError, match="it is a list"):
        read_weights(tmp_path / "b.pt")


def test_every_mismatch_is_listed() -> None:
    state = dict(OWN)
    del state["bn1.weight"], state["layer1.1.bias"]
    state |= {"conv1.weight": torch.zeros(8, 3, 3, 3), "layer2.0.weight": torch.zeros(2)}
    before = tiny(0)
    network = tiny(0)
    with pytest.raises(InputError, match="They do not fit this extractor") as refused:
        fill(network, under("model.", state), "They")
    assert refused.value.problems == [
        "bn1.weight is missing.",
        "layer1.1.bias is missing.",
        "layer2.0.weight is not wanted.",
        "conv1.weight is (8, 3, 3, 3), not (4, 3, 3, 3).",
    ]
    assert same(before.state_dict(), network.state_dict())  # nothing is half done


def test_a_head_of_another_length_is_told() -> None:
    with pytest.raises(InputError, match=r"head\.weight is \(4, 6\), not \(5, 6\)"):
        fill(tiny(0, 5, LinearHead()), tiny(1, 4, LinearHead()).state_dict(), "They")


def test_another_network_altogether() -> None:
    with pytest.raises(InputError, match="do not fit"):
        fill(tiny(0), {"decoder.weight": PROXIES}, "They")


def test_a_recipe_names_its_file(tmp_path: Path) -> None:
    torch.manual_seed(1)
    one = build_extractor(ResNet(), size=32)
    torch.save({"state_dict": under("model.model.", one.backbone.state_dict())}, tmp_path / "oml.ckpt")
    started = build_extractor(ResNet(weights_path=str(tmp_path / "oml.ckpt"), frozen=1), size=32)
    assert same(started.backbone.state_dict(), one.backbone.state_dict())
    with pytest.raises(InputError, match="not both"):
        build_extractor(ResNet(weights_path="a", pretrained="resnet18_imagenet"), size=32)
