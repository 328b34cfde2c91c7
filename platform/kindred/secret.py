"""The secret key: made at first start, readable by its owner alone, refused when it is a known one."""

import os
import secrets
from pathlib import Path

KNOWN = ("changeme", "secret", "insecure", "django-insecure")


def load_or_make(path: Path, given: str) -> str:
    """Returns `given` if set, else the key in `path`, which is made (0600) when missing.

    Raises ValueError for a key that is short or begins as a known one.
    """
    if given:
        key = given
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        except FileExistsError:
            key = path.read_text()
        else:
            key = secrets.token_urlsafe(48)
            with os.fdopen(descriptor, "w") as file:
                file.write(key)
    if len(key) < 32 or key.lower().startswith(KNOWN):
        raise ValueError("KINDRED_SECRET_KEY is short or well known. Use at least 32 random characters, or unset it.")
    return key
