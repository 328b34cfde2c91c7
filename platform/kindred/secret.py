"""The secret key: made at first start, readable by its owner alone, refused when it is a known one."""

import os
import secrets
import tempfile
from pathlib import Path

KNOWN = ("changeme", "secret", "insecure", "django-insecure")
SHORTEST = 32  # characters


def load_or_make(path: Path, given: str) -> str:
    """Returns `given` if set, else the key in `path`, which is made (0600) when missing.

    Raises ValueError for a key that is short or begins as a known one.
    """
    key = given or _from_file(path)
    if len(key) < SHORTEST or key.lower().startswith(KNOWN):
        raise ValueError(
            f"KINDRED_SECRET_KEY is short or well known. Use at least {SHORTEST} random characters, or unset it."
        )
    return key


def _from_file(path: Path) -> str:
    """Several processes may come here first at once: the file appears whole, and all of them read the same one."""
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=".secret-")  # 0600
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_urlsafe(48))
            os.link(draft, path)
        except FileExistsError:
            pass  # another process was quicker
        finally:
            os.unlink(draft)
    return path.read_text().strip()
