"""The site's settings for the inference process that these tests start: their database, files, and socket."""

import os
from pathlib import Path

from kindred.settings import *  # noqa: F403
from kindred.settings import DATABASES, STORAGES

DATABASES["default"]["NAME"] = os.environ["KINDRED_TEST_DATABASE"]
STORAGES["default"] = {
    "BACKEND": "django.core.files.storage.FileSystemStorage",
    "OPTIONS": {"location": os.environ["KINDRED_TEST_FILES"]},
}
INFERENCE_SOCKET = Path(os.environ["KINDRED_TEST_SOCKET"])
