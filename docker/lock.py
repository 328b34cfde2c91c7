"""Prints what is installed, as requirements.lock wants it: `make lock`."""

import sys
from importlib import metadata

HEADER = "# Written by `make lock`; see docs/adr/0002-lock-file.md. Ranges are in pyproject.toml.\n"
# The project itself, what makes environments, and what torch's own metadata names exactly.
LEFT_OUT = {"kindred", "pip", "setuptools", "wheel", "triton"}
LEFT_OUT_BEGINNINGS = ("nvidia-", "cuda-")


def main() -> None:
    versions = {found.metadata["Name"]: found.version for found in metadata.distributions()}
    kept = {
        # "+cpu" and "+cu130" name builds of one version; which is right, pip decides on the machine.
        name: version.partition("+")[0]
        for name, version in versions.items()
        if name.lower() not in LEFT_OUT and not name.lower().startswith(LEFT_OUT_BEGINNINGS)
    }
    lines = [f"{name}=={version}\n" for name, version in sorted(kept.items(), key=lambda pair: pair[0].lower())]
    sys.stdout.write(HEADER + "".join(lines))


if __name__ == "__main__":
    main()
