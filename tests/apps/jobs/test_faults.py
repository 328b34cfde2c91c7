"""What happens to jobs when processes are killed, frozen, cancelled or fail to stop. Real processes, real Postgres."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django_q.models import OrmQ

from apps.jobs import hosts, services, supervise
from apps.jobs.models import Job, Slot
from apps.jobs.processes import log_file_tail, pid_key
from tests.apps.jobs.conftest import Processes, free_slots

pytestmark = [pytest.mark.slow]


def is_final(job: Job) -> bool:
    return job.is_final


def test_a_job_runs_to_its_end_in_a_process_of_its_own(processes: Processes) -> None:
    job = processes.submit("count", to=3)
    assert processes.kick() == 1
    job.refresh_from_db()
    assert job.pid is not None
    assert os.getpgid(job.pid) == job.pid != os.getpgrp()
    processes.wait(job, is_final)
    assert (job.state, job.attempt, job.crashes) == ("succeeded", 1, 0)
    assert job.result == {"counted": 3}
    assert (job.progress_done, job.progress_total, job.progress_unit, job.stage) == (3, 3, "steps", "counting")
    assert "counted" in job.log_tail
    assert free_slots() == 1


def test_ten_doorbells_start_one_process(processes: Processes) -> None:
    job = processes.submit("count", to=15)

    def kick(_: int) -> int:
        try:
            return processes.kick()
        finally:
            connection.close()

    with ThreadPoolExecutor(10) as pool:
        assert sum(pool.map(kick, range(10))) == 1
    processes.wait(job, is_final)
    assert (job.attempt, processes.note(1)) == (1, "from 0\ndone\n")
    assert OrmQ.objects.filter(key="gpu").count() == 2  # its submission and its end rang


def test_two_device_jobs_share_one_slot_one_after_the_other(processes: Processes) -> None:
    first, second = processes.submit("count", to=8), processes.submit("quick")
    third = processes.submit("count", to=1)
    assert processes.kick() == 2  # `quick` needs no device
    processes.wait(second, is_final)
    third.refresh_from_db()
    assert third.state == "queued"
    processes.wait(first, is_final, kicking=True)
    processes.wait(third, is_final, kicking=True)
    first.refresh_from_db()
    assert third.started_at is not None
    assert first.finished_at is not None
    assert third.started_at >= first.finished_at


def test_cancel_while_queued(processes: Processes) -> None:
    blocker = processes.submit("stubborn")
    processes.kick()
    job = processes.submit("count", to=5)
    assert services.job_cancel(job=job).state == "cancelled"
    assert processes.kick() == 0
    services.job_cancel(job=blocker)
    processes.wait(blocker, is_final)


def test_cancel_while_running(processes: Processes) -> None:
    job = processes.submit("count", to=600)
    processes.kick()
    processes.wait(job, lambda job: job.progress_done > 0)
    services.job_cancel(job=job)
    processes.wait(job, is_final, seconds=5)
    assert (job.state, job.crashes, free_slots()) == ("cancelled", 0, 1)
    assert processes.note(1) == "from 0\n"


@pytest.mark.parametrize("kind", ["stubborn", "deaf"])
def test_cancel_of_one_that_does_not_stop(processes: Processes, kind: str) -> None:
    job = processes.submit(kind)
    processes.kick()
    processes.wait_started(job)
    pid, key = job.pid, job.pid_key
    assert pid is not None
    services.job_cancel(job=job)
    processes.wait(job, is_final, seconds=8)
    assert (job.state, free_slots()) == ("cancelled", 1)
    end = time.monotonic() + 5
    while pid_key(pid) == key and time.monotonic() < end:
        time.sleep(0.1)
    assert pid_key(pid) != key
    said = next(line for line in log_file_tail(job.pk).splitlines() if "did not stop: SIGTERM" in line)
    assert f"job_id={job.pk}" in said


def test_cancel_of_a_frozen_one(processes: Processes) -> None:
    job = processes.submit("count", to=600)
    processes.kick()
    processes.wait_started(job)
    assert job.pid is not None
    os.kill(job.pid, signal.SIGSTOP)
    services.job_cancel(job=job)
    processes.wait(job, is_final, seconds=12, kicking=True)
    assert (job.state, free_slots()) == ("cancelled", 1)


def test_cancel_while_finishing_has_one_outcome(processes: Processes) -> None:
    for delay in (0.0, 0.05, 0.1, 0.2):
        job = processes.submit("count", to=1)
        processes.kick()
        processes.wait_started(job)
        time.sleep(delay)
        services.job_cancel(job=job)
        outcome = processes.wait(job, is_final).state
        finished_at = job.finished_at
        assert outcome in ("succeeded", "cancelled")
        time.sleep(0.3)
        job.refresh_from_db()
        assert (job.state, job.finished_at, free_slots()) == (outcome, finished_at, 1)
        for path in processes.folder.iterdir():
            path.unlink()


def test_three_crashes_and_it_has_failed(processes: Processes) -> None:
    job = processes.submit("dies")
    processes.wait(job, is_final, seconds=60, kicking=True)
    assert (job.state, job.attempt, job.crashes, free_slots()) == ("failed", 3, 3, 1)
    assert "crashed 3 times" in job.error
    assert "SIGKILL" in job.error
    assert job.log_tail.count("about to die") == 3
    assert "last words" in job.log_tail
    assert "-- attempt 3: its process was ended by SIGKILL" in job.log_tail


def test_killed_in_the_middle_it_continues(processes: Processes) -> None:
    job = processes.submit("count", to=25)
    processes.kick()
    processes.wait(job, lambda job: job.progress_done >= 5)
    assert job.pid is not None
    os.killpg(job.pid, signal.SIGKILL)
    # Seen at once, not when the lease ends; and it rings for itself.
    rings = OrmQ.objects.filter(key="gpu").count()
    processes.wait(job, lambda job: job.state == "queued", seconds=5)
    assert OrmQ.objects.filter(key="gpu").count() == rings + 1
    assert free_slots() == 1
    processes.wait(job, is_final, kicking=True)
    assert (job.state, job.attempt, job.crashes) == ("succeeded", 2, 1)
    assert int(processes.note(2).split()[1]) >= 5


def test_killed_while_nobody_watched(processes: Processes) -> None:
    """The queue's process and the job's are both gone: the next kick sees it, before the lease is over."""
    job = processes.submit("count", to=600)
    processes.kick()
    processes.wait_started(job)
    assert job.pid is not None
    launcher = subprocess.run(
        [sys.executable, "-c", "import subprocess; print(subprocess.Popen(['sleep', '0.2']).pid)"],
        capture_output=True,
        text=True,
        check=True,
    )
    watched, stranger = job.pid, int(launcher.stdout)
    Job.objects.filter(pk=job.pk).update(attempt=7, pid=stranger, pid_key=job.pid_key)  # as if another had run it
    assert job.lease_until is not None
    processes.kick()
    job.refresh_from_db()
    assert (job.attempt, job.crashes) == (8, 1)
    assert job.pid != watched
    services.job_cancel(job=job)
    processes.wait(job, is_final)


@pytest.mark.usefixtures("short_lease")
def test_frozen_past_its_lease_then_thawed(processes: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another host takes the job over; the thawed process writes nothing and goes."""
    job = processes.submit("count", to=40)
    processes.kick()
    processes.wait(job, lambda job: job.progress_done >= 3)
    first_pid, first_key = job.pid, job.pid_key
    assert first_pid is not None
    watcher = supervise.watchers()[0]
    monkeypatch.setattr(watcher, "_is_wanted", lambda: True)  # its own host is as frozen as it is
    os.killpg(first_pid, signal.SIGSTOP)
    monkeypatch.setattr(hosts, "host_name", lambda: "another-host")
    processes.wait(job, lambda job: job.attempt == 2, kicking=True)
    assert pid_key(first_pid) == first_key
    assert Slot.objects.get(job=job).host == "another-host"
    processes.wait(job, lambda job: job.progress_done > 10)
    os.killpg(first_pid, signal.SIGCONT)
    end = time.monotonic() + 5
    while pid_key(first_pid) == first_key and time.monotonic() < end:
        time.sleep(0.05)
    assert pid_key(first_pid) != first_key
    processes.wait(job, is_final)
    assert (job.state, job.attempt, job.crashes) == ("succeeded", 2, 1)
    assert processes.note(1) == "from 0\n"


@pytest.mark.usefixtures("short_lease")
def test_frozen_on_this_host_it_gives_the_device_back(processes: Processes) -> None:
    job = processes.submit("count", to=10)
    processes.kick()
    processes.wait(job, lambda job: job.progress_done >= 3)
    first_pid, first_key = job.pid, job.pid_key
    assert first_pid is not None
    os.killpg(first_pid, signal.SIGSTOP)
    processes.wait(job, lambda job: job.attempt == 2, kicking=True)
    assert pid_key(first_pid) != first_key
    processes.wait(job, is_final)
    assert (job.state, job.crashes) == ("succeeded", 1)


@pytest.mark.usefixtures("short_lease")
def test_a_write_longer_than_the_lease_is_not_taken_over(processes: Processes) -> None:
    job = processes.submit("slow_fence")
    processes.wait(job, is_final, kicking=True)
    assert (job.state, job.attempt, job.result) == ("succeeded", 1, {"kept": True})


def test_a_shutdown_puts_it_back_without_a_crash(processes: Processes) -> None:
    job = processes.submit("stubborn")
    processes.kick()
    processes.wait_started(job)
    assert job.pid is not None
    os.killpg(job.pid, signal.SIGTERM)
    processes.wait(job, lambda job: job.state == "queued", seconds=5)
    assert (job.attempt, job.crashes, free_slots()) == (1, 0, 1)
    services.job_cancel(job=job)


def test_a_deleted_job_ends_its_process(processes: Processes) -> None:
    job = processes.submit("count", to=600)
    processes.kick()
    processes.wait_started(job)
    pid, key = job.pid, job.pid_key
    assert pid is not None
    job.delete()
    end = time.monotonic() + 8
    while pid_key(pid) == key and time.monotonic() < end:
        time.sleep(0.1)
    assert pid_key(pid) != key
    assert free_slots() == 1


def test_the_database_away_for_a_moment_is_waited_out(processes: Processes) -> None:
    """As when Postgres restarts: every connection is lost, several times."""
    job = processes.submit("count", to=40)
    processes.kick()
    processes.wait_started(job)
    with connection.cursor() as cursor:
        for _ in range(4):
            time.sleep(0.4)
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
    processes.wait(job, is_final)
    assert (job.state, job.attempt, job.crashes) == ("succeeded", 1, 0)


def test_errors_end_it_at_once(processes: Processes) -> None:
    raises, refuses = processes.submit("raises"), processes.submit("refuses")
    assert processes.kick() == 2
    processes.wait(raises, is_final)
    assert (raises.state, raises.attempt, raises.error) == ("failed", 1, "ZeroDivisionError: by nothing")
    assert 'raise ZeroDivisionError("by nothing")' in raises.log_tail
    processes.wait(refuses, is_final)
    assert refuses.error == "Two labels are too few. Add one."


def test_the_queue_restarts_it_and_may_die(processes: Processes, tmp_path: Path) -> None:
    """A real trainer: rung by the submission, it launches the job; the job killed, it launches the next attempt at
    once; itself killed, the job does not notice."""
    environment: dict[str, Any] = os.environ | {"Q_CLUSTER_NAME": "gpu"}
    with (tmp_path / "queue.log").open("wb") as log:
        queue = subprocess.Popen(
            [sys.executable, str(settings.ROOT / "manage.py"), "qcluster", "--skip-checks"],
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        job = processes.submit("count", to=40)
        processes.wait(job, lambda job: job.progress_done > 2, seconds=25)
        assert job.pid is not None
        os.killpg(job.pid, signal.SIGKILL)
        processes.wait(job, lambda job: job.attempt == 2 and job.progress_done > 5, seconds=10)
    finally:
        os.killpg(queue.pid, signal.SIGKILL)
        queue.wait()
    processes.wait(job, is_final)
    assert (job.state, job.attempt, job.crashes) == ("succeeded", 2, 1)
    assert processes.note(2).endswith("done\n")
    assert not supervise.watchers()


def test_a_job_that_is_stopped_while_it_starts_is_handed_back(processes: Processes) -> None:
    job = processes.submit("count", to=600)
    processes.kick()
    job.refresh_from_db()
    assert job.pid is not None
    os.kill(job.pid, signal.SIGTERM)  # Python has not even begun
    processes.wait(job, lambda job: job.state == "queued")
    assert (job.attempt, job.crashes) == (1, 0)
    services.job_cancel(job=job)


def test_what_a_shutdown_had_to_kill_is_handed_back(processes: Processes) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        gone, key = process.pid, pid_key(process.pid)
        killed, stays = processes.submit("count"), processes.submit("count")
        running = {"state": "running", "attempt": 1, "host": hosts.host_name()}
        Job.objects.filter(pk=killed.pk).update(**running, pid=gone, pid_key=key)
        Job.objects.filter(pk=stays.pk).update(**running, pid=os.getpid(), pid_key=pid_key(os.getpid()))
        supervise.hand_back(host=hosts.host_name())
        assert Job.objects.get(pk=killed.pk).state == "running"
        process.kill()
    supervise.hand_back(host=hosts.host_name())
    killed.refresh_from_db()
    stays.refresh_from_db()
    assert (killed.state, killed.crashes, stays.state) == ("queued", 0, "running")
    Job.objects.update(state="cancelled")
