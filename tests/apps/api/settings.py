"""The site's settings for the inference process that these tests start: their database, their files, their socket."""

import os
from pathlib import Path

from kindred.settings import *  # noqa: F403
from kindred.settings import DATABASES, INFERENCE_SOCKET, STORAGES

DATABASES["default"]["NAME"] = os.environ.get("KINDRED_TEST_DATABASE", DATABASES["default"]["NAME"])
if "KINDRED_TEST_FILES" in os.environ:
    STORAGES["default"]["OPTIONS"] = {"location": os.environ["KINDRED_TEST_FILES"]}  # type: ignore[index]
INFERENCE_SOCKET = Path(os.environ.get("KINDRED_TEST_SOCKET", INFERENCE_SOCKET))
