"""The cache of decoded photos: right or absent, whoever writes, dies or meddles; and never over its limit."""

import fcntl
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mlcore import cache as module
from mlcore.cache import ENTRY, HEADER_BYTES, INDEX, SQUARES, PhotoCache, Squares, content_key, default_cache_dir

SIDE = 8
RECORD = SIDE * SIDE * 3


def key(number: int) -> bytes:
    return hashlib.sha256(str(number).encode()).digest()


def square(number: int) -> Squares:
    return np.random.default_rng(number).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)


class Said(list[str]):
    def __call__(self, text: str) -> None:
        self.append(text)


def opened(folder: Path, variant: str = "a", limit: int = 10**9, said: Said | None = None) -> PhotoCache:
    return PhotoCache(folder, variant, SIDE, said if said is not None else Said(), limit)


def put(cache: PhotoCache, *numbers: int) -> None:
    cache.put([key(number) for number in numbers], [square(number) for number in numbers])


def held(cache: PhotoCache, *numbers: int) -> list[int]:
    """Those of the numbers that the cache has. What it has must be right."""
    squares = np.zeros((len(numbers), SIDE, SIDE, 3), dtype=np.uint8)
    missing = cache.fill([key(number) for number in numbers], squares)
    found = [place for place in range(len(numbers)) if place not in missing]
    for place in found:
        assert np.array_equal(squares[place], square(numbers[place]))
    return [numbers[place] for place in found]


def test_what_was_put_is_found_by_all(tmp_path: Path) -> None:
    first, other = opened(tmp_path), opened(tmp_path)
    assert held(first, 1, 2) == []
    put(first, 1, 2)
    assert held(first, 3, 2, 1, 2) == [2, 1, 2]
    assert held(other, 1, 2) == [1, 2]  # opened before they were written
    put(other, 2, 3)
    assert held(first, 1, 2, 3) == [1, 2, 3]
    assert (first.folder / SQUARES).stat().st_size == 3 * RECORD  # 2 was not written again
    assert held(opened(tmp_path), 1, 2, 3) == [1, 2, 3]
    assert held(opened(tmp_path, "b"), 1) == []  # another way of preprocessing


def test_a_photo_is_known_by_its_bytes_and_its_box() -> None:
    sha = [hashlib.sha256(text).hexdigest() for text in (b"one", b"two")]
    keys = {
        content_key(sha[0], None),
        content_key(sha[1], None),
        content_key(sha[0], (0, 0, 5, 5)),
        content_key("", None),
    }
    assert len(keys) == 4
    assert content_key(sha[0], None) == content_key(sha[0], None)
    assert content_key("", None) is None
    assert content_key("nan", (0, 0, 5, 5)) is None


def test_without_a_key_nothing_is_found(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    put(cache, 1)
    assert cache.fill([None, key(1)], np.zeros((2, SIDE, SIDE, 3), dtype=np.uint8)) == [0]


WRITER = """
import sys
from pathlib import Path
import numpy as np
from tests.mlcore.test_cache import key, opened, square
cache = opened(Path(sys.argv[1]))
order = np.random.default_rng(int(sys.argv[2])).permutation(60).tolist()
print("ready", flush=True)
sys.stdin.readline()
for number in order * int(sys.argv[3]):
    cache.put([key(number)], [square(number)])
    print(number, flush=True)
"""


def writer(folder: Path, seed: int, laps: int = 1) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(folder), str(seed), str(laps)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def start(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def test_several_processes_write_at_once(tmp_path: Path) -> None:
    processes = [writer(tmp_path, seed) for seed in range(3)]
    for process in processes:
        start(process)
    for process in processes:
        process.communicate()
        assert process.returncode == 0
    cache = opened(tmp_path)
    assert held(cache, *range(60)) == list(range(60))
    assert (cache.folder / SQUARES).stat().st_size == 60 * RECORD
    assert cache.entries() == 60


def test_killed_while_writing(tmp_path: Path) -> None:
    with writer(tmp_path, 0) as process:
        start(process)
        assert process.stdout is not None
        written = [int(process.stdout.readline()) for _ in range(5)]
        process.kill()
    cache = opened(tmp_path)
    assert set(held(cache, *range(60))) >= set(written)
    put(cache, *range(60))
    assert held(opened(tmp_path), *range(60)) == list(range(60))


def index_of(cache: PhotoCache) -> Path:
    return cache.folder / INDEX


def squares_of(cache: PhotoCache) -> Path:
    return cache.folder / SQUARES


def damaged(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


DAMAGE = {
    "an entry cut short": (lambda c: os.truncate(index_of(c), HEADER_BYTES + 2 * ENTRY.size + 9), {0, 1}),
    "a record cut short": (lambda c: os.truncate(squares_of(c), 2 * RECORD + 5), {0, 1}),
    "a bit of a record": (lambda c: damaged(squares_of(c), RECORD + 7, bytes([square(1).flat[7] ^ 1])), {0, 2}),
    "a bit of an entry": (lambda c: damaged(index_of(c), HEADER_BYTES + 33, b"\7"), {1, 2}),
    "records never written, as after a power cut": (lambda c: damaged(squares_of(c), 0, bytes(3 * RECORD)), set()),
    "records gone": (lambda c: squares_of(c).unlink(), set()),
    "index gone": (lambda c: index_of(c).unlink(), set()),
    "another program's file": (lambda c: damaged(index_of(c), 0, b"SQLite format 3"), set()),
    "an empty index": (lambda c: os.truncate(index_of(c), 0), set()),
    "part of a header": (lambda c: os.truncate(index_of(c), 20), set()),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
def test_what_is_damaged_is_missed_and_mended(tmp_path: Path, name: str) -> None:
    damage, left = DAMAGE[name]
    cache = opened(tmp_path)
    put(cache, 0, 1, 2)
    cache.close()
    damage(cache)
    said = Said()
    again = opened(tmp_path, said=said)
    assert set(held(again, 0, 1, 2)) == left
    put(again, 0, 1, 2)
    assert held(again, 0, 1, 2) == [0, 1, 2]
    again.close()
    assert held(opened(tmp_path), 0, 1, 2) == [0, 1, 2]
    assert said == []


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*/*"))


def test_it_refuses_what_does_not_fit_and_says_so_once(tmp_path: Path) -> None:
    said, limit = Said(), 10 * (RECORD + ENTRY.size)
    cache = opened(tmp_path, limit=limit, said=said)
    cache.reserve([key(number) for number in range(30)])
    assert len(said) == 1
    assert "of 30" in said[0]
    for number in range(30):
        put(cache, number)
    kept = held(cache, *range(30))
    assert kept == list(range(len(kept)))
    assert 8 <= len(kept) <= 10
    assert size(tmp_path) <= limit
    assert len(said) == 1


def test_the_longest_unused_variant_makes_room(tmp_path: Path) -> None:
    limit = 20 * (RECORD + ENTRY.size)
    for at, variant in enumerate(("old", "older", "used")):
        cache = opened(tmp_path, variant)
        put(cache, *range(5))
        os.utime(index_of(cache), (1000 - at * (variant == "older"), 1000 - at * (variant == "older")))
        if variant != "used":
            cache.close()
    said = Said()
    newcomer = opened(tmp_path, "new", limit, said)
    newcomer.reserve([key(number) for number in range(8)])
    put(newcomer, *range(8))
    assert held(newcomer, *range(8)) == list(range(8))
    assert held(opened(tmp_path, "older"), 0) == []
    assert held(opened(tmp_path, "old"), *range(5)) == list(range(5))
    assert said == []
    newcomer.reserve([key(number) for number in range(15)])  # "old" goes too; "used" may not
    put(newcomer, *range(15))
    assert held(opened(tmp_path, "used"), *range(5)) == list(range(5))
    assert size(tmp_path) <= limit + 2 * HEADER_BYTES


def test_photos_of_earlier_datasets_make_room(tmp_path: Path) -> None:
    limit = 11 * (RECORD + ENTRY.size)
    first = opened(tmp_path, limit=limit)
    put(first, *range(10))
    second = opened(tmp_path, limit=limit)
    wanted = [key(number) for number in range(100, 108)]
    second.reserve(wanted)
    put(second, *range(100, 108))
    assert held(first, *range(10)) == list(range(10))  # in use, so they stay
    assert len(held(second, *range(100, 108))) < 8
    first.close()
    second.reserve(wanted)
    put(second, *range(100, 108))
    assert held(second, *range(100, 108)) == list(range(100, 108))
    assert size(tmp_path) <= limit


def test_room_on_the_disk_is_left_to_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FREE_BYTES", 2**60)
    said = Said()
    cache = opened(tmp_path, said=said)
    cache.reserve([key(1)])
    put(cache, 1)
    assert held(cache, 1) == []
    assert len(said) == 1


def test_a_folder_that_cannot_be_written_costs_a_word_only(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    said = Said()
    cache = opened(tmp_path / "file", said=said)
    cache.reserve([key(1)])
    put(cache, 1)
    assert held(cache, 1) == []
    assert len(said) == 1
    assert "decoded anew" in said[0]


def test_a_frozen_process_that_holds_the_lock_costs_a_word_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOCK_SECONDS", 0.05)
    said = Said()
    cache = opened(tmp_path, said=said)
    put(cache, 1)
    with (tmp_path / "lock").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        put(cache, 2)
        put(cache, 3)
    assert held(cache, 1, 2, 3) == [1]
    assert len(said) == 1


def test_the_command_lines_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/some/where")
    assert default_cache_dir() == Path("/some/where/kindred/photos")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_cache_dir() == Path.home() / ".cache" / "kindred" / "photos"
