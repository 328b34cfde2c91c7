"""The moves of a job, one by one, without processes."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import transaction
from django.utils import timezone
from django_q.models import OrmQ, Schedule

from apps.core.errors import BadInput, Conflict
from apps.datasets.models import Dataset
from apps.jobs import hosts, runner, selectors, services
from apps.jobs.context import Cancelled, JobContext, Replaced
from apps.jobs.models import Job, Slot

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("job_settings")]
HOST = "this-host"


def submit(kind: str = "quick", **payload: Any) -> Job:
    return services.job_submit(kind=kind, title=f"test {kind}", payload=payload, owner=None, dataset=None)


def claim() -> Job:
    services.slots_sync(host=HOST)
    found = services.job_claim(host=HOST)
    assert found is not None
    return found[0]


def test_the_doorbell_rings_in_the_transaction_of_the_submission() -> None:
    with transaction.atomic():
        submit()
        transaction.set_rollback(True)
    assert (Job.objects.count(), OrmQ.objects.count()) == (0, 0)
    submit()
    task = OrmQ.objects.get(key="gpu").task
    assert (task["func"], task["save"]) == ("apps.jobs.tasks.kick", False)


def test_the_schedule_is_made_once() -> None:
    for _ in range(3):
        submit()
    schedule = Schedule.objects.get(name="jobs.kick")
    assert (schedule.minutes, schedule.schedule_type, schedule.cluster, schedule.repeats) == (1, "I", "gpu", -1)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(BadInput, match="no work of kind 'nonsense'"):
        submit("nonsense")


def test_work_on_a_dataset_that_is_gone_is_refused() -> None:
    dataset = Dataset.objects.create(name="Gone")
    Dataset.objects.filter(pk=dataset.pk).delete()
    with pytest.raises(Conflict, match="deleted meanwhile"):
        services.job_submit(kind="count", title="Count", payload={}, owner=None, dataset=dataset)
    assert not Job.objects.exists()


def test_a_claim_takes_a_slot_of_the_pool_and_raises_the_attempt() -> None:
    job = submit("count")
    claimed = claim()
    assert (claimed.pk, claimed.state, claimed.attempt, claimed.device) == (job.pk, "running", 1, "cpu")
    assert claimed.lease_until is not None
    assert timedelta(0) < claimed.lease_until - timezone.now() <= services.lease()
    assert Slot.objects.get(job=job).name == "cpu"
    submit("count")
    assert services.job_claim(host=HOST) is None
    submit("quick")
    assert claim().device == "io:0"


def test_each_device_takes_one_job(job_settings: Any) -> None:
    job_settings.JOB_SLOTS = {"io": 1, "device": "cuda:0, cuda:1"}
    jobs = [submit("count") for _ in range(3)]
    assert [(job.pk, job.device) for job in (claim(), claim())] == [(jobs[0].pk, "cuda:0"), (jobs[1].pk, "cuda:1")]
    assert services.job_claim(host=HOST) is None
    services.job_finish(job_id=jobs[0].pk, attempt=1, state=Job.State.SUCCEEDED)
    last = claim()
    assert (last.pk, last.device) == (jobs[2].pk, "cuda:0")
    assert list(Slot.objects.filter(pool="device").order_by("name").values_list("job", flat=True)) == [
        jobs[2].pk,
        jobs[1].pk,
    ]


def test_every_write_is_fenced_by_the_attempt() -> None:
    submit("count")
    context = JobContext(claim())
    Job.objects.update(attempt=2)
    context.log("too late")
    context.progress(5, 10)
    assert context.should_stop()
    with pytest.raises(Replaced):
        context.check()
    with pytest.raises(Replaced), context.fenced():
        pytest.fail("let in")
    assert not services.job_finish(job_id=context.job.pk, attempt=1, state=Job.State.SUCCEEDED)
    assert not services.job_release(job_id=context.job.pk, attempt=1)
    assert services.job_crashed(job_id=context.job.pk, attempt=1, reason="it is gone") is None
    job = Job.objects.get()
    assert (job.state, job.log_tail, job.progress_done, job.crashes) == ("running", "", 0, 0)


def test_what_is_cancelled_is_not_handed_back() -> None:
    submit("count")
    context = JobContext(claim())
    services.job_cancel(job=context.job)
    assert services.job_release(job_id=context.job.pk, attempt=1)
    assert Job.objects.get().state == "cancelled"


def test_a_final_state_stays() -> None:
    submit("count")
    job = claim()
    assert services.job_finish(job_id=job.pk, attempt=1, state=Job.State.SUCCEEDED, result={"a": 1})
    assert not services.job_finish(job_id=job.pk, attempt=1, state=Job.State.FAILED, error="no")
    assert services.job_cancel(job=job).state == "succeeded"
    assert Job.objects.get().result == {"a": 1}


def test_a_cancel_stops_the_lease() -> None:
    submit("count")
    context = JobContext(claim())
    job = services.job_cancel(job=context.job)
    assert (job.state, job.cancel_requested) == ("running", True)
    context.beat()
    with pytest.raises(Cancelled):
        context.check()
    assert Job.objects.get().lease_until == job.lease_until


def test_the_dead_whose_cancel_was_requested_is_cancelled() -> None:
    submit("count")
    job = services.job_cancel(job=claim())
    crashed = services.job_crashed(job_id=job.pk, attempt=1, reason="it is gone")
    assert crashed is not None
    assert crashed.state == "cancelled"
    assert not Slot.objects.filter(job__isnull=False).exists()


def test_slots_follow_the_settings_and_leave_the_vanished(job_settings: Any) -> None:
    submit("count")
    job = claim()
    job_settings.JOB_SLOTS = {"io": 1, "device": "cuda:0, cuda:1"}
    services.slots_sync(host=HOST)
    assert set(Slot.objects.values_list("name", flat=True)) == {"io:0", "cuda:0", "cuda:1", "cpu"}  # cpu is in use
    Job.objects.filter(pk=job.pk).update(state="failed")
    services.slots_sync(host=HOST)
    assert set(Slot.objects.values_list("name", flat=True)) == {"io:0", "cuda:0", "cuda:1"}


def test_accelerators_are_found_without_torch(job_settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    job_settings.JOB_SLOTS = {"io": 0, "device": "auto"}
    monkeypatch.setattr(hosts, "_nvidia_count", lambda: 2)
    for chosen, names in ((None, ["cuda:0", "cuda:1"]), ("3", ["cuda:3"]), ("", ["cpu"])):
        hosts._found_devices.cache_clear()
        if chosen is None:
            monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        else:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", chosen)
        assert list(hosts.slot_names()) == names
    hosts._found_devices.cache_clear()
    assert [hosts.visible_devices(name) for name in ("cuda:1", "cpu", "io:0")] == ["1", "", ""]


def test_the_log_keeps_its_end_and_takes_any_text() -> None:
    submit("count")
    context = JobContext(claim())
    context.log("nul \x00 here")
    context.beat()
    context.log("x" * 9000 + "the end")
    context.beat()
    assert len(Job.objects.get().log_tail) == services.LOG_TAIL_CHARACTERS
    assert Job.objects.get().log_tail.endswith("xthe end\n")


def test_time_left_goes_by_the_pace_of_this_stage() -> None:
    submit("count")
    context = JobContext(claim())
    context.progress(60, 100, "steps", "training")  # resumed at 60
    context.progress(70, 100, "steps", "training")
    context.beat()
    job = Job.objects.get()
    assert (job.pace_from, job.progress_done, job.percent) == (60, 70, 70)
    job.pace_since = timezone.now() - timedelta(seconds=10)
    assert job.seconds_left == pytest.approx(30, abs=0.5)
    context.progress(1, None, "images", "validating")
    context.beat()
    job = Job.objects.get()
    assert (job.pace_from, job.progress_total, job.seconds_left, job.stage) == (1, 0, None, "validating")


def test_places_in_line() -> None:
    jobs = [submit(kind) for kind in ("count", "quick", "stubborn", "count")]
    assert [selectors.job_position(job) for job in jobs] == [1, 1, 2, 3]
    assert jobs[3].waiting_text == "waits for a device, 3rd in line"
    assert selectors.job_position(claim()) is None


def test_run_inline() -> None:
    job = runner.run_inline(submit())
    assert (job.state, job.result, job.attempt, job.log_tail) == ("succeeded", {"files": 3}, 1, "one line\n")
    assert (job.progress_done, job.progress_total) == (3, 3)
    with pytest.raises(Conflict):
        runner.run_inline(job)


def test_visible_to_the_owner_and_the_members_of_the_dataset() -> None:
    someone = get_user_model().objects.create_user("someone")
    submit()
    mine = services.job_submit(kind="quick", title="mine", payload={}, owner=someone, dataset=None)
    assert list(Job.objects.for_user(someone)) == [mine]
