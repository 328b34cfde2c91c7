"""This host: its name and the places it has for jobs."""

import os
import shutil
import socket
import subprocess
from functools import cache
from pathlib import Path

from django.conf import settings

NVIDIA_DEVICES = Path("/proc/driver/nvidia/gpus")


def host_name() -> str:
    return socket.gethostname()


def slot_names() -> dict[str, str]:
    """Slot name -> pool, for this host, from `settings.JOB_SLOTS`."""
    io_count = int(settings.JOB_SLOTS["io"])
    devices = str(settings.JOB_SLOTS["device"]).strip()
    names = _found_devices() if devices == "auto" else [name.strip() for name in devices.split(",") if name.strip()]
    return {f"io:{number}": "io" for number in range(io_count)} | dict.fromkeys(names, "device")


def visible_devices(slot_name: str) -> str:
    """What CUDA_VISIBLE_DEVICES is for a job in this slot; empty hides every accelerator."""
    return slot_name.removeprefix("cuda:") if slot_name.startswith("cuda:") else ""


@cache
def _found_devices() -> list[str]:
    """The accelerators, without loading torch: one name each, or `cpu` where there is none.

    A CUDA_VISIBLE_DEVICES that the launching process was given is kept to.
    """
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        devices = [f"cuda:{device.strip()}" for device in chosen.split(",") if device.strip()]
    else:
        devices = [f"cuda:{number}" for number in range(_nvidia_count())]
    return devices or ["cpu"]


def _nvidia_count() -> int:
    """What `nvidia-smi -L` lists (in a container, only the devices lent to it); else what the driver lists."""
    program = shutil.which("nvidia-smi")
    if program:
        try:
            listing = subprocess.run([program, "-L"], capture_output=True, text=True, timeout=20, check=True).stdout  # noqa: S603
            return sum(line.startswith("GPU ") for line in listing.splitlines())
        except (OSError, subprocess.SubprocessError):
            return 0  # a driver that does not answer cannot train either
    return len(list(NVIDIA_DEVICES.iterdir())) if NVIDIA_DEVICES.is_dir() else 0
