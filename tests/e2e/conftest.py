"""A real site for the browser: every process of the Procfile on a data folder and a port of its own."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "a-long-enough-password"
START_SECONDS = 120


@dataclass(frozen=True)
class Site:
    """A running site: its address, and the one-time link that it printed."""

    url: str
    setup_link: str
    process: subprocess.Popen[str]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """`manage.py serve`, ready; stopped at the end as Ctrl-C would."""
    folder = tmp_path_factory.mktemp("site")
    port = free_port()
    environment = {
        key: value for key, value in os.environ.items() if key not in ("DATABASE_URL", "DJANGO_SETTINGS_MODULE")
    }
    environment |= {"KINDRED_DATA_DIR": str(folder), "PORT": str(port), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [sys.executable, "manage.py", "serve"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(iter(process.stdout.readline, "")), daemon=True)  # type: ignore[union-attr]
    reader.start()
    deadline = time.monotonic() + START_SECONDS
    link = ""
    try:
        while not (link and any("READY" in line for line in lines)):
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail("The site did not come up:\n" + "".join(lines[-60:]))
            link = next((match[0] for line in lines if (match := re.search(r"http://\S+/setup/\S+", line))), "")
            time.sleep(0.2)
        yield Site(f"http://127.0.0.1:{port}", link, process)
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        (folder / "site.log").write_text("".join(lines))


def without_aborted_polls(errors: list[str]) -> list[str]:
    """The console's errors less those of a poll that leaving its page cut short, which htmx logs as two lines."""
    kept: list[str] = []
    for error in errors:
        if error.startswith("htmx:sendAbort") and kept and kept[-1].startswith("htmx:afterRequest"):
            kept.pop()
        else:
            kept.append(error)
    return kept


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A fresh browser window that fails the test on any error in the page's console."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(20_000)
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    errors = without_aborted_polls(errors)
    assert not errors, errors


@pytest.fixture
def signed_in(site: Site, page: Page) -> Page:
    """A window of the administrator, who is made by the one-time link unless another test has done so."""
    if page.request.get(site.setup_link).ok:
        page.goto(site.setup_link)
        page.fill("[name=username]", "ada")
        page.fill("[name=password1]", PASSWORD)
        page.fill("[name=password2]", PASSWORD)
    else:
        page.goto(f"{site.url}/login/")
        page.fill("[name=username]", "ada")
        page.fill("[name=password]", PASSWORD)
    page.locator("main .btn--primary").click()
    page.wait_for_url("**/datasets/")
    return page
