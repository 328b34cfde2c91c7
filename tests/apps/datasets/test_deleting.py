"""Deleting labels and samples beside other writers, each on a connection of its own."""

from typing import Any

import pytest
from django.db import transaction

from apps.accounts.models import User
from apps.core.errors import Conflict
from apps.datasets.models import Dataset, Label, Sample
from apps.datasets.services import InUse, label_create, label_delete, samples_delete, samples_update
from apps.jobs.models import Job
from apps.jobs.services import job_submit
from tests.beside import beside

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def pot(filled: Dataset, user: User) -> Label:
    """A label without samples."""
    return label_create(dataset=filled, name="pot", user=user)


def everything() -> list[int]:
    return list(Sample.objects.order_by("pk").values_list("pk", flat=True))


def test_a_label_that_is_given_while_it_goes_is_made_anew(filled: Dataset, pot: Label, user: User) -> None:
    with transaction.atomic():
        label_delete(label=pot, version=1, user=user)
        given = beside(lambda: samples_update(dataset=filled, user=user, sample_ids=everything(), label="pot"))
        assert not given.done()
    assert given.result(timeout=10) == 8
    assert Label.objects.get(name="pot").pk != pot.pk
    assert Sample.objects.filter(label__name="pot").count() == 8


def test_a_label_that_is_just_given_stays(filled: Dataset, pot: Label, user: User) -> None:
    with transaction.atomic():
        samples_update(dataset=filled, user=user, sample_ids=everything()[:1], label="pot")
        going = beside(lambda: label_delete(label=pot, version=1, user=user))
        assert not going.done()
    with pytest.raises(InUse, match="pot has 1 sample,"):
        going.result(timeout=10)
    assert Sample.objects.get(label=pot).pk == everything()[0]


def test_two_who_delete_the_same_samples(filled: Dataset, user: User) -> None:
    def delete() -> int:
        return samples_delete(dataset=filled, user=user, sample_ids=chosen)

    chosen = everything()[:3]
    with transaction.atomic():
        assert delete() == 3
        second = beside(delete)
    with pytest.raises(Conflict, match="3 samples were selected, but now 0 match"):
        second.result(timeout=10)
    assert Sample.objects.count() == 5


def test_an_edit_beside_a_deletion(filled: Dataset, user: User) -> None:
    chosen = everything()[:3]
    with transaction.atomic():
        samples_delete(dataset=filled, user=user, sample_ids=chosen[:1])
        edit = beside(lambda: samples_update(dataset=filled, user=user, sample_ids=chosen, label="new"))
    with pytest.raises(Conflict, match="now 2 match"):
        edit.result(timeout=10)
    assert not Label.objects.filter(name="new").exists()


def test_work_that_is_being_submitted_comes_after_a_deletion_or_stops_it(filled: Dataset, user: User) -> None:
    def submit() -> Job:
        return job_submit(kind="train", title="Train", payload={}, owner=user, dataset=filled)

    def delete() -> Any:
        return samples_delete(dataset=filled, user=user, sample_ids=everything()[:1])

    with transaction.atomic():
        delete()
        late = beside(submit)
        assert not late.done()
    job = late.result(timeout=10)
    Job.objects.filter(pk=job.pk).update(state=Job.State.CANCELLED)
    with transaction.atomic():
        submit()
        refused = beside(delete)
    with pytest.raises(InUse):
        refused.result(timeout=10)
    assert Sample.objects.count() == 7
