"""Bars on a terminal, and nowhere else."""

import io
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from mlcore.cli.screen import Bar, Screen, minutes


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_tells_how_far_how_fast_and_how_long() -> None:
    stream = Terminal()
    seconds = iter([0.0, 0.05, 10.0, 20.0])
    bar = Bar(Screen(stream=stream), "embed", clock=lambda: next(seconds))
    for done in (0, 1, 250, 500):
        bar(done, 500, "a word")
    first, middle, last = stream.getvalue().split("\r\x1b[K")[1:]  # the second came too soon to be drawn
    assert first == f"embed     {'.' * 24} 0/500  a word"
    assert middle == f"embed     {'#' * 12}{'.' * 12} 250/500  25/s  0:10 left  a word"
    assert last == f"embed     {'#' * 24} 500/500  25/s  0:20  a word\n"


def test_a_line_takes_the_place_of_a_bar() -> None:
    stream = Terminal()
    screen = Screen(stream=stream)
    screen.wait("evaluating")
    screen.say("done")
    screen.say("and more")
    assert stream.getvalue() == "\r\x1b[Kevaluating ...\r\x1b[Kdone\nand more\n"


@pytest.mark.parametrize("screen", [Screen(stream=io.StringIO()), Screen(bars=False, stream=Terminal())])
def test_no_bar_in_a_pipe_or_for_machines(screen: Screen) -> None:
    screen.bar("embed")(1, 2)
    screen.wait("evaluating")
    screen.say("a line")
    assert screen.stream.getvalue() == "a line\n"  # type: ignore[attr-defined]


def test_time_reads_as_a_clock() -> None:
    assert [minutes(value) for value in (0.9, 65, 7200)] == ["0:00", "1:05", "2:00:00"]


def test_the_command_draws_on_a_terminal_alone(table: Path) -> None:
    def error_of(*more: str) -> str:
        main_end, child_end = pty.openpty()
        command = [sys.executable, "-m", "mlcore", "check", str(table), *more]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=child_end, timeout=120)
        os.close(child_end)
        os.set_blocking(main_end, False)
        try:
            seen = os.read(main_end, 100_000)
        except (BlockingIOError, OSError):  # nothing was written
            seen = b""
        os.close(main_end)
        assert done.returncode == 0
        assert b"\r" not in done.stdout
        return seen.decode()

    assert f"decode    {'#' * 24} 40/40" in error_of()
    assert "#" not in error_of("--json")
