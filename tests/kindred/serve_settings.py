"""The site's settings with the jobs' tests' kinds of work, and leases as long as a busy machine needs."""

from tests.apps.jobs.settings import *  # noqa: F403

JOB_LEASE_SECONDS = 60
JOB_HEARTBEAT_SECONDS = 2
