"""A dataset with its manager, and a model with a draft."""

import pytest

from apps.accounts.models import User
from apps.datasets.models import Dataset
from apps.zoo.models import Model, ModelVersion
from tests.apps.zoo.making import make_dataset, make_model, make_version


@pytest.fixture
def dataset(user: User) -> Dataset:
    return make_dataset("Shapes", user)


@pytest.fixture
def model(dataset: Dataset) -> Model:
    return make_model(dataset)


@pytest.fixture
def version(model: Model, user: User) -> ModelVersion:
    return make_version(model, user)
