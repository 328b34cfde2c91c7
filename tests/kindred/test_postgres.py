"""The life of the embedded Postgres: in processes of its own, on a data folder of its own."""

import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from django.conf import settings

from kindred import folders, postgres

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(settings.DATABASE_URL), reason="DATABASE_URL is set: nothing is embedded"),
]

SOURCE = """
import os, sys
sys.path[:0] = [{root!r}, {platform!r}]
os.environ["DJANGO_SETTINGS_MODULE"] = "kindred.settings"
from kindred import postgres
"""


class Site:
    """Another site on this host: what it is asked runs in a process of its own."""

    def __init__(self, data_dir: Path, user: str | None = None) -> None:
        self.data_dir = data_dir
        self.user = user
        key = folders.key_of(data_dir)
        as_root = os.geteuid() == 0 and user is None
        self.base_dir = postgres.ROOT_DIR / key if as_root else data_dir
        uid = os.geteuid() if user is None else pwd.getpwnam(user).pw_uid
        self.runtime_dir = Path(folders.runtime_dir(data_dir).parent) / f"kindred-{uid}-{key}"
        self.socket_dir = self.base_dir / "socket" if as_root else self.runtime_dir / "pg"

    def start(self, code: str, **environment: str) -> "subprocess.Popen[str]":
        source = SOURCE.format(root=str(settings.ROOT), platform=str(settings.ROOT / "platform")) + code
        return subprocess.Popen(
            [sys.executable, "-c", source],
            env={**os.environ, "KINDRED_DATA_DIR": str(self.data_dir), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            user=self.user,
            extra_groups=None if self.user is None else [],
            cwd="/",
        )

    def run(self, code: str = "postgres.ensure_running()", **environment: str) -> str:
        process = self.start(code, **environment)
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 0, output
        return output.strip()

    def postmaster(self) -> int:
        return int((self.base_dir / "pg" / "postmaster.pid").read_text().split()[0])

    def connect(self, **parameters: str) -> "psycopg.Connection[tuple[object, ...]]":
        return psycopg.connect(
            host=parameters.get("host", str(self.socket_dir)), user="postgres", dbname="postgres", autocommit=True
        )

    def remove(self) -> None:
        self.run("postgres.stop()")
        for path in {self.base_dir, self.runtime_dir, self.data_dir}:
            shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One for the tests that leave it whole: making a server takes seconds."""
    site = Site(tmp_path_factory.mktemp("shared") / "data")
    yield site
    site.remove()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path / "data")
    yield site
    site.remove()


def wait_gone(pid: int) -> None:
    """The last of a server goes a moment after its pid file."""
    end = time.monotonic() + 10
    while (state := state_of(pid)) and state != "Z":
        assert time.monotonic() < end
        time.sleep(0.05)


def state_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def servers_of(site: Site) -> list[int]:
    wanted = str(site.base_dir / "pg").encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if wanted in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
    return found


def test_many_start_it_at_once_and_it_survives_them(site: Site) -> None:
    starters = [site.start("postgres.ensure_running(); os.kill(os.getpid(), 9)") for _ in range(6)]
    for starter in starters:
        output, _ = starter.communicate(timeout=60)
        assert starter.returncode == -signal.SIGKILL, output
    with site.connect() as connection:
        found = connection.execute("SELECT 1").fetchone()
    assert found == (1,)
    assert servers_of(site) == [site.postmaster()]


def test_it_listens_on_its_socket_alone_and_for_its_owner(shared: Site) -> None:
    shared.run()
    with shared.connect() as connection:
        row = connection.execute(
            "SELECT current_setting('listen_addresses'), current_setting('data_checksums')"
        ).fetchone()
    assert row == ("", "on")
    assert stat.S_IMODE(shared.socket_dir.stat().st_mode) == 0o700
    assert stat.S_IMODE((shared.base_dir / "pg").stat().st_mode) == 0o700


def test_what_was_committed_survives_a_kill_and_a_stop(shared: Site) -> None:
    shared.run()
    with shared.connect() as connection:
        connection.execute("CREATE TABLE kept (n int)")
        connection.execute("INSERT INTO kept VALUES (7)")
    first = shared.postmaster()
    os.kill(first, signal.SIGKILL)
    wait_gone(first)
    shared.run()
    assert shared.postmaster() != first
    assert shared.run("print(postgres.stop(), postgres.is_running(), postgres.stop())") == "True False False"
    shared.run()
    with shared.connect() as connection:
        assert connection.execute("SELECT n FROM kept").fetchone() == (7,)


def test_stop_does_not_wait_for_those_who_are_connected(shared: Site) -> None:
    shared.run()
    server = shared.postmaster()
    with shared.connect() as connection:
        began = time.monotonic()
        shared.run("postgres.stop()")
        assert time.monotonic() - began < 15
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    wait_gone(server)


def test_half_of_a_data_folder_is_made_again(site: Site) -> None:
    half = site.base_dir / "pg.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    site.run()
    assert site.postmaster()
    assert not half.exists()


def test_another_version_is_told(site: Site) -> None:
    (site.base_dir / "pg").mkdir(parents=True)
    (site.base_dir / "pg" / "PG_VERSION").write_text("16\n")
    process = site.start("postgres.ensure_running()")
    output, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "was made by Postgres 16; this version of Kindred brings 18" in output


def test_a_long_data_folder_and_a_locale_that_is_missing(tmp_path: Path) -> None:
    site = Site(tmp_path / ("a long name " * 8).strip() / "data")
    try:
        site.run(LANG="xx_YY.UTF-8", LC_ALL="xx_YY.UTF-8", PGDATA="/nowhere", PGPORT="1")
        with site.connect() as connection:
            row = connection.execute("SELECT 'Zoe' < 'ada', lower('ÄÖ')").fetchone()
        assert row == (True, "äö")
    finally:
        site.remove()


def test_one_that_was_started_with_another_tmpdir_is_found(shared: Site, tmp_path: Path) -> None:
    shared.run()
    elsewhere = Path(tempfile.gettempdir()) / f"kd-{os.getpid()}"
    elsewhere.mkdir(mode=0o700)
    try:
        place = shared.run(
            "postgres.ensure_running()\nprint(postgres.settings.POSTGRES_SOCKET_DIR)", TMPDIR=str(elsewhere)
        )
        with shared.connect(host=place) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    finally:
        shutil.rmtree(elsewhere)


def test_the_folder_of_the_sockets_is_refused_where_others_can_enter(tmp_path: Path) -> None:
    folders.private_dir_make(tmp_path / "mine")
    folders.private_dir_make(tmp_path / "mine")
    (tmp_path / "mine").chmod(0o777)
    with pytest.raises(PermissionError, match="open to others"):
        folders.private_dir_make(tmp_path / "mine")
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(PermissionError):
        folders.private_dir_make(tmp_path / "link")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become an ordinary user")
def test_as_an_ordinary_user() -> None:
    """The data stay in the data folder, and the server runs as that user."""
    try:
        subprocess.run([sys.executable, "-c", "import django"], user="nobody", extra_groups=[], cwd="/", check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("ordinary users cannot read this Python or this checkout")
    data_dir = Path(tempfile.gettempdir()) / f"kd-nobody-{os.getpid()}"
    data_dir.mkdir(mode=0o700)
    shutil.chown(data_dir, "nobody")
    site = Site(data_dir, "nobody")
    try:
        site.run()
        assert (data_dir / "pg" / "PG_VERSION").exists()
        assert Path(f"/proc/{site.postmaster()}").stat().st_uid == data_dir.stat().st_uid
        assert stat.S_IMODE(site.runtime_dir.stat().st_mode) == 0o700
        with site.connect() as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    finally:
        site.remove()
