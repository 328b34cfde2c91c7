"""What the settings must hold together."""

from math import ceil
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.hashers import make_password

from kindred import settings as site


@pytest.mark.parametrize("cluster", ["default", "gpu"])
def test_no_task_of_the_queue_is_handed_out_twice(cluster: str) -> None:
    """Seen in django-q2 1.11: a task is locked from when it is fetched, so `retry` must outlast its wait."""
    values: dict[str, Any] = settings.Q_CLUSTER | settings.Q_CLUSTER["ALT_CLUSTERS"].get(cluster, {})
    rounds = 1 + ceil((values["queue_limit"] + 1) / values["workers"])
    assert values["retry"] > values["timeout"] * rounds
    assert values["queue_limit"] == values["workers"]
    assert (values["bulk"], values["max_attempts"], values["ack_failures"], values["catch_up"]) == (1, 2, True, False)
    assert values["cache"] == "default"  # a database's, so that every host sees it
    assert settings.CACHES["default"]["BACKEND"].endswith("DatabaseCache")


def test_a_lease_outlasts_several_heartbeats() -> None:
    assert settings.JOB_LEASE_SECONDS >= 5 * settings.JOB_HEARTBEAT_SECONDS


def test_passwords_are_hashed_by_argon2(settings: Any) -> None:
    """As the site does it: the tests themselves hash quickly."""
    settings.PASSWORD_HASHERS = site.PASSWORD_HASHERS
    assert make_password("correct horse battery").startswith("argon2$argon2id$")
