"""The site's settings for the processes that these tests start: their database, work of their own, leases of theirs."""

import os

from kindred.settings import *  # noqa: F403
from kindred.settings import DATABASES, JOB_KINDS

if "KINDRED_TEST_DATABASE" in os.environ:
    DATABASES["default"]["NAME"] = os.environ["KINDRED_TEST_DATABASE"]

TEST_KINDS = {
    name: (f"tests.apps.jobs.handlers.{name}", pool)
    for name, pool in {
        "count": "device",
        "stubborn": "device",
        "deaf": "device",
        "dies": "device",
        "raises": "io",
        "refuses": "io",
        "quick": "io",
        "slow_fence": "io",
    }.items()
}
JOB_KINDS = JOB_KINDS | TEST_KINDS
JOB_SLOTS = {"io": 2, "device": "cpu"}
# Long enough for a process to start on a busy machine; `short_lease` is for what is about its end.
JOB_LEASE_SECONDS = int(os.environ.get("KINDRED_TEST_LEASE_SECONDS", "30"))
JOB_HEARTBEAT_SECONDS = 0.3
JOB_TERM_GRACE_SECONDS = 1
