"""Published recipes: valid, the same after a round trip, honest, and able to start on a tiny copy of their dataset."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlcore.catalogue import find_pretrained
from mlcore.cli import main
from mlcore.cli.recipes import load_recipe
from mlcore.config import Handcrafted
from mlcore.config.text import commented
from mlcore.layouts import LAYOUTS
from mlcore.recipes import PUBLISHED
from tests.mlcore.layouts.folders import MAKERS

SMALL = ["steps=2", "validate_every=1", "checkpoint_every=2", "log_every=1", "preprocess.size=32", "workers=1"]
SMALL += ["extractor.kind=vit", "extractor.dimension=16", "sampler.labels=3", "sampler.instances=2"]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    return


def test_every_layout_has_a_recipe() -> None:
    assert set(PUBLISHED) == set(LAYOUTS)


@pytest.mark.parametrize("name", PUBLISHED)
def test_it_survives_its_own_text_and_claims_nothing(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(name)
    file = tmp_path / "recipe.yaml"
    file.write_text(commented(recipe, "A title"), encoding="utf-8")
    assert load_recipe(str(file)) == recipe == type(recipe).model_validate_json(recipe.model_dump_json())
    head = PUBLISHED[name].read_text().partition("\n")[0]
    assert head == f"# {LAYOUTS[name].title}. Not trained by us: no figure is claimed."


@pytest.mark.parametrize("name", PUBLISHED)
def test_its_weights_are_in_the_catalogue_for_that_network(name: str) -> None:
    recipe = load_recipe(name)
    assert not isinstance(recipe.extractor, Handcrafted)
    assert recipe.extractor.pretrained is not None
    entry = find_pretrained(recipe.extractor.pretrained)
    assert (entry.extractor.kind, entry.extractor.arch) == (recipe.extractor.kind, recipe.extractor.arch)
    assert (entry.preprocess.mean, entry.preprocess.std) == (recipe.preprocess.mean, recipe.preprocess.std)
    assert recipe.preprocess.size == 224
    if recipe.extractor.head.kind == "none":
        assert recipe.extractor.dimension == entry.dimension


@pytest.mark.parametrize("name", [name for name in PUBLISHED if "extractor.kind=resnet" in PUBLISHED[name].read_text()])
def test_the_way_without_timm_is_a_recipe(name: str) -> None:
    text = " ".join(PUBLISHED[name].read_text().replace("#", " ").split())
    words = text.split("Without: ")[1].split()
    changes = [words[place + 1].rstrip(".") for place in range(0, 6, 2)]
    recipe = load_recipe(name, changes)
    assert (recipe.extractor.kind, recipe.extractor.arch) == ("resnet", "resnet50")


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
def test_it_trains_on_a_tiny_copy(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = MAKERS[name](tmp_path / name, labels=8)
    table = folder / "table.csv"
    assert main(["convert", name, str(folder), "--out", str(table)]) == 0
    changes = [*SMALL, *(["sampler.categories=2"] if name in ("sop", "inshop") else [])]
    command = ["train", "--data", str(table), "--recipe", name, "--out", str(tmp_path / "out"), "--device", "cpu"]
    assert main([*command, "--cache", "none", *(part for change in changes for part in ("--set", change))]) == 0
    report = json.loads((tmp_path / "out/report.json").read_text())
    counts = report["counts"]
    assert counts["queries_without_match"] == 0
    assert counts["queries"] == (4 if name == "inshop" else 8)
    assert load_recipe(str(tmp_path / "out/model/recipe.yaml")) == load_recipe(name, [*changes])
