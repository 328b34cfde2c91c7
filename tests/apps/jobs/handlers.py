"""Work for the tests of jobs. What a handler did is told by a file: `payload["folder"]`/<attempt>."""

import os
import signal
import time
from pathlib import Path
from typing import Any

from django.conf import settings

from apps.core.errors import BadInput
from apps.jobs.context import JobContext


def _note(context: JobContext, text: str) -> None:
    with (Path(context.job.payload["folder"]) / str(context.attempt)).open("a") as file:
        file.write(f"{text}\n")


def count(context: JobContext) -> dict[str, Any]:
    """Counts to `payload["to"]`, ten a second, from where the attempt before left off."""
    begin = context.job.progress_done
    _note(context, f"from {begin}")
    for done in range(begin, context.job.payload["to"] + 1):
        context.check()
        context.progress(done, context.job.payload["to"], "steps", "counting")
        time.sleep(0.1)
    with context.fenced():
        context.log("counted")
    _note(context, "done")
    return {"counted": context.job.payload["to"]}


def stubborn(context: JobContext) -> dict[str, Any]:
    """Never looks whether it should stop, but can be interrupted."""
    _note(context, "started")
    time.sleep(60)
    return {}


def deaf(context: JobContext) -> dict[str, Any]:
    """Cannot even be interrupted by SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _note(context, "started")
    time.sleep(60)
    return {}


def dies(context: JobContext) -> dict[str, Any]:
    """Its process dies under it."""
    context.log("about to die")
    print("last words", flush=True)
    time.sleep(0.6)
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def raises(context: JobContext) -> dict[str, Any]:
    context.progress(1, 2)
    raise ZeroDivisionError("by nothing")


def refuses(context: JobContext) -> dict[str, Any]:
    raise BadInput("Two labels are too few.", remedy="Add one.")


def quick(context: JobContext) -> dict[str, Any]:
    context.progress(3, 3, "files", "reading")
    context.log("one line")
    return {"files": 3}


def slow_fence(context: JobContext) -> dict[str, Any]:
    """One write that lasts longer than the lease."""
    with context.fenced():
        time.sleep(settings.JOB_LEASE_SECONDS + 2)
    return {"kept": True}
