"""/healthz, /readyz and what they ask."""

import time
from typing import Any

import pytest
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.test import Client
from django_q.models import OrmQ

from apps.core.errors import Unavailable
from kindred import health


def away() -> dict[str, Any]:
    raise Unavailable("No process at /secret/place.")


@pytest.fixture
def well(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every part answers: canaries sang just now, and a stand-in for the inference process's client."""
    for queue in health.QUEUES:
        health.sing(queue)
    monkeypatch.setattr(health.client, "health", dict)


def test_healthz_asks_nobody(client: Client) -> None:
    """Without database access: pytest-django would forbid it."""
    response = client.get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})
    assert "no-store" in response.headers["Cache-Control"]


def test_ready(client: Client, well: None) -> None:
    response = client.get("/readyz")
    assert response.status_code == 200
    assert response.json()["parts"] == {"database": "ok", "queue:default": "ok", "queue:gpu": "ok", "inference": "ok"}


def test_not_ready_tells_the_part_but_no_secret(client: Client, well: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health.client, "health", away)
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.json()["parts"]["inference"] == "does not answer"
    assert b"secret" not in response.content


def test_missing_migrations(client: Client, well: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_migrated", False)
    monkeypatch.setattr(health.MigrationExecutor, "migration_plan", lambda self, targets: [("some", False)])
    assert client.get("/readyz").json()["parts"]["database"] == "migrations are missing"


@pytest.mark.django_db
def test_a_canary_is_rung_once_and_then_sings() -> None:
    assert health.canary("gpu") == "has not answered yet"
    assert health.canary("gpu") == "has not answered yet"
    assert OrmQ.objects.filter(key="gpu").count() == 1
    assert OrmQ.objects.filter(key="default").count() == 0
    health.sing("gpu")
    assert health.canary("gpu") == ""


@pytest.mark.django_db
def test_a_silent_queue_is_told_and_rung_again() -> None:
    cache.set("canary:default", time.time() - 200)
    assert health.canary("default") == "silent for 200 s"
    assert OrmQ.objects.filter(key="default").count() == 1
    cache.set("canary:default", time.time() - health.RING_SECONDS - 1)
    assert health.canary("default") == ""  # not stale, but the next ring is due; one waits already
    assert OrmQ.objects.filter(key="default").count() == 1


def test_the_command_for_containers(well: None, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    call_command("ready")
    call_command("ready", "queue:gpu")
    monkeypatch.setattr(health.client, "health", away)
    call_command("ready", "database", "queue:gpu")
    with pytest.raises(CommandError, match="Not ready"):
        call_command("ready")
    with pytest.raises(CommandError, match="Unknown: cellar"):
        call_command("ready", "cellar")
    assert "inference: does not answer" in capsys.readouterr().out
