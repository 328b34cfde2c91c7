"""A table of drawn photos, and a small model trained on it by the command itself, once for all tests here."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from mlcore.cli import main
from tests.mlcore.photos import make_photos, small_recipe, write_folder

Train = Callable[..., int]


@pytest.fixture(scope="package", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="package")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Labels 0 to 5 train; 6 to 9 are validation, query and gallery at once; four photos of each."""
    return write_folder(tmp_path_factory.mktemp("photos"), *make_photos())


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """The same table, for tests that change its files."""
    return write_folder(tmp_path / "photos", *make_photos())


@pytest.fixture(scope="package")
def recipe_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("recipe") / "small.yaml"
    file.write_text(yaml.safe_dump(small_recipe(steps=2).model_dump(mode="json")))
    return file


@pytest.fixture(scope="package")
def train(table: Path, recipe_file: Path) -> Train:
    def run(out: Path, *more: str, data: Path = table) -> int:
        command = ["train", "--data", str(data), "--recipe", str(recipe_file), "--out", str(out), "--device", "cpu"]
        return main([*command, *more])

    return run


@pytest.fixture(scope="package")
def trained(train: Train, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained")
    assert train(out) == 0
    return out
