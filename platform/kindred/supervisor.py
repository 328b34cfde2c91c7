"""Runs the processes of the Procfile side by side, by honcho, and starts one again that ended unasked."""

import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from honcho.manager import Manager
from honcho.process import Process

from kindred import procfile

RESTART_SECONDS = 1.0
# A process that ends this often within a minute cannot run here: the site stops and says so.
RESTARTS_PER_MINUTE = 5
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Supervisor(Manager):  # type: ignore[misc]  # honcho is untyped
    """honcho's manager: one process each, their output side by side; SIGINT and SIGTERM end them all.

    Each is started, and asked to end, by a keeper: a fork of this process, which is there to be asked at any moment,
    also before it has started anything.
    """

    def __init__(self, on_started: Callable[[], None]) -> None:
        super().__init__()
        self.stopping = threading.Event()  # set when the end has begun
        self._on_started = on_started
        self._process_ctor = Keeper

    def add_all(self, environment: dict[str, str]) -> None:
        for name, command in procfile.commands().items():
            # `exec`: no shell stays between, which would not pass signals on.
            self.add_process(name, f"exec {command}", env=environment, cwd=str(procfile.ROOT))

    def end(self, returncode: int) -> None:
        """Ends everything, from any thread, at any time; `loop` returns when all have gone."""
        self.returncode = returncode
        self.terminate()

    def terminate(self) -> None:
        self.stopping.set()
        super().terminate()

    def _start(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # a fork must not hear them with the handlers of this one
        try:
            super()._start()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        if self.stopping.is_set():
            self._killall()
        self._on_started()  # after the last fork: it may start threads

    def _killall(self, force: bool = False) -> None:
        if force:  # all have started by then
            super()._killall(force=True)
            return
        for name, entry in self._processes.items():
            if "process" in entry and "returncode" not in entry:
                self._system_print(f"ending {name}\n")
                entry["process"].terminate()


class Keeper(Process):  # type: ignore[misc]  # honcho is untyped
    """One process of the site. Its `run` returns when it was asked to end, or when its program has ended too often."""

    _stopping = False
    _returncode: int | None = None

    def run(self, events: Any = None, ignore_signals: bool = False) -> None:
        # Handlers, and not SIG_IGN, which the program would inherit. A Ctrl-C comes by way of the supervisor.
        signal.signal(signal.SIGINT, lambda number, frame: None)
        signal.signal(signal.SIGTERM, self._on_terminate)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        ended_at: list[float] = []
        while True:
            super().run(events, ignore_signals=False)
            ended_at = [*(at for at in ended_at if time.monotonic() - at < 60), time.monotonic()]
            if self._stopping or len(ended_at) > RESTARTS_PER_MINUTE:
                break
            self._send_message(f"{self.name} ended unasked (code {self._returncode}) and is started again\n".encode())
            self._pause()
            if self._stopping:
                break
        super()._send_message({"returncode": self._returncode}, type="stop")

    def _pause(self) -> None:
        end = time.monotonic() + RESTART_SECONDS
        while not self._stopping and time.monotonic() < end:
            time.sleep(0.05)

    def _on_terminate(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True
        if self._child is not None:
            self._child.terminate()  # the program alone, which then ends its own in its own order

    def _send_message(self, data: Any, type: str = "line") -> None:
        if type == "stop":
            self._returncode = data["returncode"]
            return  # not yet: it may be started again
        super()._send_message(data, type)
        if type == "start" and self._stopping:
            self._child.terminate()  # started while it was being asked to end
