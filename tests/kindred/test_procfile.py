"""One truth for the processes: the Procfile. Containers only name its lines."""

import re
import shlex
from pathlib import Path
from typing import Any

import yaml
from django.conf import settings

from kindred import health, procfile

DOCKER = Path(settings.ROOT) / "docker"


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
    return loaded


def test_the_procfile_holds_the_processes_of_the_site() -> None:
    assert list(procfile.commands()) == ["web", "worker", "trainer", "inference"]


def test_no_command_needs_a_shell() -> None:
    for command in procfile.commands().values():
        assert not re.search(r"[$&|;<>`*?'\"]", command), command
        assert shlex.split(command) == command.split()


def test_a_container_for_each_process_and_by_its_name() -> None:
    services = compose()["services"]
    for name in procfile.commands():
        assert services[name]["command"] == ["process", name]
    assert set(services) == {"postgres", "prepare", *procfile.commands()}
    assert services["prepare"]["command"] == ["prepare"]
    assert not [name for name, service in services.items() if {"entrypoint", "user"} & set(service)]
    cards = yaml.safe_load((DOCKER / "compose.cuda.yaml").read_text())["services"]
    assert set(cards) == {"trainer", "inference"}  # those that hold torch


def test_every_container_says_how_it_is() -> None:
    for name, service in compose()["services"].items():
        assert service["healthcheck"], name
        if name != "postgres":
            assert service["depends_on"]["postgres"]["condition"] == "service_healthy", name
            asked = service["healthcheck"].get("test", [])
            assert set(asked[asked.index("ready") + 1 :] if "ready" in asked else []) <= set(health.parts()), name


def test_it_is_reached_from_this_host_alone_unless_told() -> None:
    services = compose()["services"]
    assert services["web"]["ports"] == ["${KINDRED_BIND:-127.0.0.1}:${PORT:-8000}:8000"]
    assert [name for name, service in services.items() if "ports" in service] == ["web"]


def test_no_secret_has_a_default() -> None:
    text = (DOCKER / "compose.yaml").read_text()
    for secret in ("POSTGRES_PASSWORD", "KINDRED_SECRET_KEY"):
        uses = re.findall(rf"\$\{{{secret}[^}}]*\}}", text)
        assert uses
        assert all(":?" in use for use in uses), uses
    example = dict(line.split("=", 1) for line in (DOCKER / "env.example").read_text().splitlines() if "=" in line[:30])
    assert example["POSTGRES_PASSWORD"] == example["KINDRED_SECRET_KEY"] == ""


def test_the_image_is_pinned_and_not_root() -> None:
    lines = (DOCKER / "Dockerfile").read_text().splitlines()
    image = next(line for line in lines if line.startswith("ARG PYTHON_IMAGE="))
    assert re.search(r"=python:\d+\.\d+\.\d+-slim-\w+$", image)
    assert re.fullmatch(r"USER [1-9]\d*:[1-9]\d*", next(line for line in lines if line.startswith("USER")))
    assert re.fullmatch(r"postgres:\d+\.\d+-\w+", compose()["services"]["postgres"]["image"])
    assert any(line.startswith("HEALTHCHECK") for line in lines)
    entry = next(line for line in lines if line.startswith("ENTRYPOINT"))
    assert entry == 'ENTRYPOINT ["python", "manage.py"]'
    assert lines[-1] == 'CMD ["process", "web"]'


def test_the_image_takes_only_what_is_sent_to_the_builder() -> None:
    sent = {line[1:] for line in (Path(settings.ROOT) / ".dockerignore").read_text().splitlines() if line[:1] == "!"}
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (DOCKER / "Dockerfile").read_text(), re.MULTILINE)
    assert {name for line in copied for name in line.split()} <= sent
