"""The site's settings for the processes that these tests start: their database, their files, short leases."""

import os

from kindred.settings import *  # noqa: F403
from kindred.settings import DATABASES, STORAGES

if "KINDRED_TEST_DATABASE" in os.environ:
    DATABASES["default"]["NAME"] = os.environ["KINDRED_TEST_DATABASE"]
if "KINDRED_TEST_FILES" in os.environ:
    STORAGES["default"]["OPTIONS"] = {"location": os.environ["KINDRED_TEST_FILES"]}
JOB_SLOTS = {"io": 1, "device": "cpu"}
JOB_LEASE_SECONDS = 20
JOB_HEARTBEAT_SECONDS = 1
