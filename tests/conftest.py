"""What every test has: an embedded Postgres of its own, and files that go to a folder of its own.

Unless KINDRED_DATA_DIR or DATABASE_URL is given, the site of a test run lives in a new folder that is removed after it,
so that runs beside each other, and beside a site that serves, do not meet.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from playwright.sync_api import Browser, sync_playwright
from xdist.scheduler import LoadFileScheduling

# A busy machine is no fault of the code: no case fails for being slow.
hypothesis.settings.register_profile("kindred", deadline=None)
hypothesis.settings.load_profile("kindred")

# Before anything imports the settings: they read the environment once.
OWN_DATA_DIR = "" if "KINDRED_DATA_DIR" in os.environ else tempfile.mkdtemp(prefix="kindred-test-")
if OWN_DATA_DIR:
    os.environ["KINDRED_DATA_DIR"] = OWN_DATA_DIR
os.environ.setdefault("OMP_NUM_THREADS", "1")  # the networks of tests are small, and the cores are the workers'
os.environ.setdefault("KINDRED_LOG_LEVEL", "WARNING")
os.environ["KINDRED_DEBUG"] = "0"
# A browser's loop stays in a worker's thread for all the tests after it; none of them is asynchronous.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "kindred.settings")

import django  # noqa: E402

django.setup()

from django.conf import settings  # noqa: E402
from django.core.cache import cache  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.test import Client  # noqa: E402

from apps.accounts.models import User  # noqa: E402
from kindred import postgres  # noqa: E402


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("numprocesses", default=None):
        leave_to_workers()
        return
    # A test database is made anew each time: nothing of it need survive a power cut.
    settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)
    postgres.ensure_running(options=["-c", "fsync=off", "-c", "full_page_writes=off"])


def leave_to_workers() -> None:
    """This process only hands out tests: each worker of pytest-xdist makes a site of its own, as if it were alone."""
    del os.environ["DJANGO_SETTINGS_MODULE"]  # else pytest-django would read the settings there before this file
    if OWN_DATA_DIR:
        del os.environ["KINDRED_DATA_DIR"]
        shutil.rmtree(OWN_DATA_DIR)


class ByFile(LoadFileScheduling):  # type: ignore[misc]
    """A worker takes whole files; the browser's all together, for its pages are what the flow leaves behind."""

    def _split_scope(self, nodeid: str) -> str:
        return "tests/e2e" if nodeid.startswith("tests/e2e/") else super()._split_scope(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    return ByFile(config, log)


def pytest_unconfigure() -> None:
    if OWN_DATA_DIR and os.environ.get("KINDRED_DATA_DIR") == OWN_DATA_DIR:
        postgres.stop()
        shutil.rmtree(postgres.base_dir(), ignore_errors=True)
        shutil.rmtree(settings.RUNTIME_DIR, ignore_errors=True)
        shutil.rmtree(OWN_DATA_DIR, ignore_errors=True)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> None:
    """pytest-django's, and the table of the cache."""
    with django_db_blocker.unblock():
        call_command("createcachetable", verbosity=0)


@pytest.fixture(autouse=True)
def site_settings(
    settings: Any, tmp_path: Path, request: pytest.FixtureRequest, django_db_blocker: Any
) -> Iterator[None]:
    """Files go to the test's folder; static files keep their names; passwords are hashed quickly."""
    media_root = tmp_path / "files"
    settings.MEDIA_ROOT = media_root
    settings.STORAGES = {
        "default": {"BACKEND": "apps.core.storage.DurableStorage", "OPTIONS": {"location": media_root}},
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    yield
    if {"transactional_db", "live_server"} & set(request.fixturenames):
        with django_db_blocker.unblock():  # the test's own access may have ended by now
            cache.clear()  # its table has no model, so nothing else empties it


@pytest.fixture
def user(db: None) -> User:
    """A person without any right of their own."""
    return User.objects.create_user("ada", password="correct horse battery")


@pytest.fixture
def other_user(db: None) -> User:
    """A second one, for what must not be seen."""
    return User.objects.create_user("grace", password="correct horse battery")


@pytest.fixture
def superuser(db: None) -> User:
    return User.objects.create_superuser("root", password="correct horse battery")


@pytest.fixture
def client_for() -> Callable[[User], Client]:
    """A client that is signed in as somebody."""

    def make(user: User) -> Client:
        client = Client()
        client.force_login(user)
        return client

    return make


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium. Without one the test is skipped, unless KINDRED_REQUIRE_BROWSER says that it must be there."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        if os.environ.get("KINDRED_REQUIRE_BROWSER"):
            pytest.fail("Chromium is not installed, and KINDRED_REQUIRE_BROWSER is set.")
        pytest.skip("Chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium,
            args=["--no-sandbox", "--disable-background-networking", "--disable-quic"],
        )
        yield browser
        browser.close()
