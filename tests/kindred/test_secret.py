"""The secret key."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kindred import secret


def test_is_made_once_and_only_for_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "site" / "secret.key"
    key = secret.load_or_make(path, "")
    assert len(key) >= secret.SHORTEST
    assert secret.load_or_make(path, "") == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [found.name for found in path.parent.iterdir()] == ["secret.key"]


def test_processes_that_start_at_once_agree(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        keys = set(pool.map(lambda _: secret.load_or_make(tmp_path / "secret.key", ""), range(64)))
    assert len(keys) == 1


def test_a_given_key_is_taken_and_nothing_is_written(tmp_path: Path) -> None:
    assert secret.load_or_make(tmp_path / "secret.key", "k" * 40) == "k" * 40
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("key", ["short", "changeme" * 8, "django-insecure-" + "x" * 60, "SECRET" * 10])
def test_a_short_or_known_key_is_refused(tmp_path: Path, key: str) -> None:
    with pytest.raises(ValueError, match="at least 32 random characters"):
        secret.load_or_make(tmp_path / "secret.key", key)
