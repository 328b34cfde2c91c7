"""Fetching weights of the catalogue: from a server, from caches, by their checksums, without a connection."""

from mlcore import compat  # noqa: F401  # isort: skip  (before torchvision)

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import save_file

from mlcore.catalogue import CATALOGUE, Pretrained, TimmHub, TorchvisionWeights, Url
from mlcore.config import NoHead, Preprocess, Timm, Torchvision
from mlcore.errors import InputError
from mlcore.extractors import build_extractor, load_pretrained
from mlcore.extractors.pretrained import fetch
from tests.mlcore.extractors.making import same

SMALL = Torchvision(arch="mobilenet_v3_small", dimension=1024, head=NoHead())
ENTRY = Pretrained("small", "Small", SMALL, Preprocess(), "the tests", "MIT", 10, Url(""))
NOBODY = "http://127.0.0.1:9/weights.pth"  # a port that answers to nobody


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "torch/hub/checkpoints"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


def serving(handler: type[BaseHTTPRequestHandler] | partial[Quiet]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def served(tmp_path: Path) -> Path:
    (tmp_path / "served").mkdir()
    return tmp_path / "served"


@pytest.fixture
def server(served: Path) -> Iterator[str]:
    yield from serving(partial(Quiet, directory=str(served)))


@pytest.fixture(scope="module")
def published() -> dict[str, torch.Tensor]:
    torch.manual_seed(3)
    return torchvision.models.mobilenet_v3_small(weights=None).state_dict()


def test_a_file_is_fetched_once_checked_and_used(
    served: Path, server: str, cache: Path, published: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save({"state_dict": {f"module.{name}": value for name, value in published.items()}}, served / "small.pth.tar")
    digest = hashlib.md5((served / "small.pth.tar").read_bytes()).hexdigest()  # noqa: S324
    entry = replace(ENTRY, source=Url(f"{server}/small.pth.tar"), checksum=f"md5:{digest[:8]}")
    monkeypatch.setitem(CATALOGUE, "small", entry)
    network = build_extractor(SMALL.model_copy(update={"pretrained": "small"}), size=32)
    kept = {name: value for name, value in published.items() if not name.startswith("classifier.3.")}
    assert same(network.backbone.state_dict(), kept)
    (served / "small.pth.tar").unlink()  # from now on it is in the cache
    assert fetch(entry) == cache / "small.pth.tar"
    with pytest.raises(InputError, match="for the torchvision extractor mobilenet_v3_small, do not fit"):
        load_pretrained("small", build_extractor(Torchvision(arch="mobilenet_v3_large"), size=32))


def test_another_file_than_promised_is_not_kept(served: Path, server: str, cache: Path) -> None:
    (served / "weights.pth").write_bytes(b"something else")
    entry = replace(ENTRY, source=Url(f"{server}/weights.pth"), checksum="sha256:01234567")
    with pytest.raises(InputError, match=r"its sha256 begins with \w{8}, not 01234567"):
        fetch(entry)
    assert list(cache.iterdir()) == []


def test_a_file_that_someone_put_there_is_checked_and_left(cache: Path) -> None:
    cache.mkdir(parents=True)
    (cache / "resnet18-f37072fd.pth").write_bytes(b"cut off")
    with pytest.raises(InputError, match=r"resnet18-f37072fd\.pth is not the file.*not f37072fd"):
        fetch(CATALOGUE["resnet18_imagenet"])
    assert (cache / "resnet18-f37072fd.pth").exists()


def test_without_a_published_checksum_the_first_one_holds(served: Path, server: str, cache: Path) -> None:
    (served / "weights.pth").write_bytes(b"the first")
    entry = replace(ENTRY, source=Url(f"{server}/weights.pth"))
    path = fetch(entry)
    assert (cache / "weights.pth.sha256").read_text().strip() == hashlib.sha256(b"the first").hexdigest()
    assert fetch(entry) == path
    path.write_bytes(b"another")
    with pytest.raises(InputError, match="is not the file"):
        fetch(entry)


def test_torchvisions_weights_are_found_in_its_cache(cache: Path, published: dict[str, torch.Tensor]) -> None:
    name = "MobileNet_V3_Small_Weights.IMAGENET1K_V1"
    cache.mkdir(parents=True)
    path = cache / torchvision.models.get_weight(name).url.rsplit("/", 1)[1]
    torch.save(published, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert fetch(replace(ENTRY, source=TorchvisionWeights(name), checksum=f"sha256:{digest[:8]}")) == path


def test_without_a_connection_it_says_what_to_put_where(cache: Path) -> None:
    with pytest.raises(InputError) as offline:
        fetch(replace(ENTRY, source=Url(NOBODY)))
    text = str(offline.value)
    for part in (
        "small are not on this machine",
        NOBODY,
        "10 MB",
        str(cache / "weights.pth"),
        "extractor.weights_path",
    ):
        assert part in text
    assert not (cache / "weights.pth").exists()


def test_an_unknown_name_is_met_with_those_that_are_near() -> None:
    with pytest.raises(InputError, match="resnet18_imagenet"):
        load_pretrained("resnet18_imagnet", build_extractor(SMALL, size=32))


class TestHub:
    """The Hugging Face hub's own client against a server that answers as the hub does."""

    @pytest.fixture
    def hub(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
        pytest.importorskip("timm")
        constants = pytest.importorskip("huggingface_hub.constants")
        file = tmp_path / "model.safetensors"

        class Hub(Quiet):
            def do_GET(self) -> None:
                self.do_HEAD(whole=True)

            def do_HEAD(self, whole: bool = False) -> None:
                found = file.exists() and self.path == "/timm/small/resolve/main/model.safetensors"
                content = file.read_bytes() if found else b""
                self.send_response(200 if found else 404)
                self.send_header("Content-Length", str(len(content)))
                self.send_header("X-Repo-Commit", "a" * 40)
                self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
                self.end_headers()
                if whole:
                    self.wfile.write(content)

        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf"))
        for url in serving(Hub):
            monkeypatch.setattr(constants, "ENDPOINT", url)
            monkeypatch.setattr(
                constants, "HUGGINGFACE_CO_URL_TEMPLATE", f"{url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
            )
            yield file

    def test_timms_weights_come_through_the_hubs_cache(self, hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        import timm

        torch.manual_seed(4)
        weights = timm.create_model("test_vit", img_size=64).state_dict()
        save_file(weights, hub)
        config = Timm(arch="test_vit", dimension=64, head=NoHead(), pretrained="small")
        entry = replace(ENTRY, extractor=config, source=TimmHub("timm/small"))
        monkeypatch.setitem(CATALOGUE, "small", entry)
        network = build_extractor(config, size=64)
        assert torch.equal(network.backbone.model.pos_embed, weights["pos_embed"])
        hub.unlink()
        path = fetch(entry)
        path.resolve().write_bytes(b"changed")
        with pytest.raises(InputError, match="is not the file"):
            fetch(entry)

    def test_what_the_hub_does_not_have(self, hub: Path) -> None:
        with pytest.raises(InputError, match=r"model\.safetensors of timm/other.*extractor\.weights_path"):
            fetch(replace(ENTRY, source=TimmHub("timm/other")))
