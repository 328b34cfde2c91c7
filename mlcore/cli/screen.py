"""What people see while a command works: lines, and one bar at a time, on standard error."""

import os
import sys
import time
from collections.abc import Callable
from typing import TextIO

from mlcore.embed import OnProgress

WIDTH = 24  # characters of a bar
EVERY_SECONDS = 0.1
CLEAR_LINE = "\r\x1b[K"


class Screen:
    """Bars are drawn on a terminal alone; lines always. `stream`: standard error by default."""

    def __init__(self, *, bars: bool = True, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stderr
        self.bars = bars and self.stream.isatty()
        self.is_drawn = False  # a bar stands on the last line

    def say(self, text: str) -> None:
        """A line of its own; a bar goes on below it."""
        self.clear()
        print(text, file=self.stream, flush=True)

    def clear(self) -> None:
        if self.is_drawn:
            self.stream.write(CLEAR_LINE)
            self.stream.flush()
            self.is_drawn = False

    def draw(self, text: str, *, is_last: bool) -> None:
        try:
            columns = os.get_terminal_size(self.stream.fileno()).columns or 80
        except (OSError, ValueError):
            columns = 80
        self.stream.write(CLEAR_LINE + text[: columns - 1] + ("\n" if is_last else ""))
        self.stream.flush()
        self.is_drawn = not is_last

    def bar(self, label: str) -> "Bar":
        return Bar(self, label)

    def wait(self, label: str) -> None:
        """Says what is worked at where there is nothing to count, until the next line or bar."""
        if self.bars:
            self.draw(f"{label} ...", is_last=False)


class Bar:
    """Called with what is done, of how much, and a word to stand beside. Its rate is that since the first call."""

    def __init__(self, screen: Screen, label: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.screen, self.label, self.clock = screen, label, clock
        self.first: tuple[int, float] | None = None  # what was done then, and when
        self.drawn = -EVERY_SECONDS

    def __call__(self, done: int, total: int, word: str = "") -> None:
        now = self.clock()
        if not self.screen.bars or (done < total and now - self.drawn < EVERY_SECONDS):
            return
        self.drawn = now
        self.first = self.first or (done, now)
        seconds = now - self.first[1]
        rate = (done - self.first[0]) / max(seconds, 1e-6)
        full = WIDTH * done // max(total, 1)
        parts = [f"{self.label:9} {'#' * full}{'.' * (WIDTH - full)} {done}/{total}"]
        if rate:
            parts.append(f"{rate:.0f}/s" if rate >= 10 else f"{rate:.1f}/s")
            parts.append(f"{minutes((total - done) / rate)} left" if done < total else minutes(seconds))
        parts.append(word)
        self.screen.draw("  ".join(filter(None, parts)), is_last=done >= total)


def minutes(seconds: float) -> str:
    """`1:05`, `2:00:00`."""
    whole = int(seconds)
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"


def silent(done: int, total: int) -> None:
    """Progress that nobody sees."""


__all__ = ["Bar", "OnProgress", "Screen", "minutes", "silent"]
