"""Runs the processes of the Procfile side by side, by honcho, and starts one again that ended unasked."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.synchronize import Event
from typing import Any

from honcho.compat import ProcessManager
from honcho.manager import Manager
from honcho.process import Process

from kindred import procfile

RESTART_SECONDS = 1.0
# A process that ends this often within a minute cannot run here: the site stops and says so.
RESTARTS_PER_MINUTE = 5


class Supervisor(Manager):  # type: ignore[misc]  # honcho is untyped
    """honcho's manager: one process each, their output side by side; SIGINT and SIGTERM end them all."""

    def __init__(self, on_started: Callable[[], None]) -> None:
        super().__init__()
        self._on_started = on_started
        self._stopping = multiprocessing.Event()
        self._process_ctor = self._make_process
        self._procmgr = Signals()

    def add_all(self, environment: dict[str, str]) -> None:
        for name, command in procfile.commands().items():
            self.add_process(name, command, env=environment, cwd=str(procfile.ROOT))

    def end(self, returncode: int) -> None:
        """Ends everything, from any thread; `loop` returns when all have gone."""
        self.returncode = returncode
        self.terminate()

    def terminate(self) -> None:
        self._stopping.set()
        super().terminate()

    def _make_process(self, command: str, **options: Any) -> "RestartedProcess":
        # `exec`: no shell stays between, which would not pass signals on.
        return RestartedProcess(f"exec {command}", stopping=self._stopping, **options)

    def _start(self) -> None:
        super()._start()
        self._on_started()  # after the last fork: it may start threads


class Signals(ProcessManager):  # type: ignore[misc]  # honcho is untyped
    """Asks a process alone, which then ends its own in its own order; kills it with its group."""

    def terminate(self, pid: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)


class RestartedProcess(Process):  # type: ignore[misc]  # honcho is untyped
    """One process of the site. Its `run` returns when the site stops, or when it has ended too often."""

    def __init__(self, command: str, *, stopping: Event, **options: Any) -> None:
        super().__init__(command, **options)
        self._stopping = stopping
        self._returncode: int | None = None

    def run(self, events: Any = None, ignore_signals: bool = False) -> None:
        ended_at: list[float] = []
        while True:
            super().run(events, ignore_signals)
            ended_at = [*(at for at in ended_at if time.monotonic() - at < 60), time.monotonic()]
            if self._stopping.is_set() or len(ended_at) > RESTARTS_PER_MINUTE:
                break
            self._send_message(f"{self.name} ended unasked (code {self._returncode}) and is started again\n".encode())
            if self._stopping.wait(RESTART_SECONDS):
                break
        super()._send_message({"returncode": self._returncode}, type="stop")

    def _send_message(self, data: Any, type: str = "line") -> None:
        if type == "stop":
            self._returncode = data["returncode"]
            return  # not yet: it may be started again
        super()._send_message(data, type)
        if type == "start" and self._stopping.is_set():
            os.kill(data["pid"], signal.SIGTERM)  # started while the others were being ended
