"""`manage.py serve`: prepares the site, runs all its processes, and leaves none behind.

`--demo` runs the main job on the demo dataset first, through the running processes; with `SERVE=0` it then stops.
"""

import io
import os
import signal
import socket
import sys
import threading
import time
from argparse import ArgumentParser
from http.client import HTTPConnection, HTTPException
from types import FrameType

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from apps.accounts import setup
from kindred import health, postgres, procfile, running
from kindred.supervisor import Supervisor

READY_SECONDS = 180.0


class Command(BaseCommand):
    help = "Runs the whole site: web, worker, trainer, inference and, unless DATABASE_URL is set, Postgres."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--demo", action="store_true", help="make the demo dataset and run the main job on it")

    def handle(self, *, demo: bool, **options: object) -> None:
        try:
            with running.only_one():
                running.leftovers_end(running.mark())  # of a `serve` that was killed
                try:
                    code = self._serve(demo)
                finally:
                    if postgres.stop():
                        self.stdout.write("Postgres stopped.")
        except running.AlreadyRunning as error:
            raise CommandError(str(error)) from None
        sys.exit(code)

    def _serve(self, demo: bool) -> int:
        self._port_check()
        supervisor = Supervisor(lambda: threading.Thread(target=self._after_start, args=[supervisor, demo]).start())
        _pass_signals_to(supervisor)
        postgres.ensure_running()
        if not supervisor.stopping.is_set():
            call_command("prepare", stdout=io.StringIO())  # the link is shown when the site answers
        connections.close_all()  # none may be carried into the forks
        if supervisor.stopping.is_set():
            return 0
        supervisor.add_all(procfile.environment() | _own_settings() | {running.VARIABLE: running.mark()})
        try:
            supervisor.loop()
        finally:
            supervisor.stopping.set()
            running.leftovers_end(running.mark())
            running.jobs_hand_back()
        code = int(supervisor.returncode or 0)
        return 0 if code in (130, 143) else code  # ended by a signal, as asked

    def _port_check(self) -> None:
        family = socket.AF_INET6 if ":" in settings.HOST else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((settings.HOST, settings.PORT))
            except OSError as error:
                raise CommandError(
                    f"{settings.HOST}:{settings.PORT} cannot be used ({error.strerror}). "
                    "Choose another, for instance `make demo PORT=8001`."
                ) from None

    def _after_start(self, supervisor: Supervisor, demo: bool) -> None:
        """In a thread: waits for the site, runs the demo's main job, says that it is ready."""
        try:
            if not self._wait_ready(supervisor):
                return
            good = self._demo(supervisor) if demo else True
            if supervisor.stopping.is_set():
                return
            if demo and os.environ.get("SERVE", "1") == "0":
                supervisor.end(0 if good else 1)
                return
            self.stdout.write(f"\nREADY {settings.SITE_URL}/")
            if link := setup.link():
                self.stdout.write(f"The first administrator is made here, once, within a day:\n{link}")
            self.stdout.write("Ctrl-C stops it.\n")
            self.stdout.flush()
        except Exception as error:
            if not supervisor.stopping.is_set():  # else the database went under it
                self.stderr.write(f"{type(error).__name__}: {error}")
                supervisor.end(1)
        finally:
            connections.close_all()

    def _demo(self, supervisor: Supervisor) -> bool:
        from kindred.demo.run import main_job  # noqa: PLC0415  (numpy and pandas, which only the demo needs)

        return main_job(self._write, supervisor.stopping)

    def _write(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()

    def _wait_ready(self, supervisor: Supervisor) -> bool:
        """Asks /readyz until it says yes. After READY_SECONDS it goes on all the same, and says what is missing."""
        end = time.monotonic() + READY_SECONDS
        answer = "no answer"
        while time.monotonic() < end:
            if supervisor.stopping.wait(0.3):
                return False
            try:
                status, answer = _get("/readyz")
            except (OSError, HTTPException):
                continue
            if status == 200:
                return True
        self.stderr.write(f"Not all parts are ready after {READY_SECONDS:.0f} s: {answer}")
        return True


def _pass_signals_to(supervisor: Supervisor) -> None:
    """Until its loop listens itself: what is begun meanwhile is not broken off half made, and nothing starts after."""

    def on_signal(number: int, frame: FrameType | None) -> None:
        supervisor.end(128 + number)

    signal.signal(signal.SIGINT, on_signal)
    signal.signal(signal.SIGTERM, on_signal)


def _get(path: str) -> tuple[int, str]:
    host, _, port = health.site_address().removeprefix("http://").rpartition(":")
    web = HTTPConnection(host, int(port), timeout=10)
    try:
        web.request("GET", path, headers={"Host": "localhost"})
        response = web.getresponse()
        return response.status, response.read().decode()
    finally:
        web.close()


def _own_settings() -> dict[str, str]:
    """What this process decided and its children must not decide otherwise."""
    return {"KINDRED_DATA_DIR": str(settings.DATA_DIR), "HOST": settings.HOST, "PORT": str(settings.PORT)}
