"""Where an error page leads back to."""

import pytest
from django.test import RequestFactory

from apps.core.answers import back_url


@pytest.mark.parametrize(
    ("address", "before", "expected"),
    [
        ("/datasets/3/labels", "", "/datasets/3/"),
        ("/datasets/3/labels", "http://testserver/datasets/3/samples?label=4", "/datasets/3/samples?label=4"),
        ("/datasets/3/labels", "http://testserver/datasets/3/labels", "/datasets/3/"),
        ("/datasets/3/labels", "http://evil.example/datasets/3/samples", "/datasets/3/"),
        ("/datasets/3/labels", "http://testserver//evil.example/x", "/evil.example/x"),
        ("/datasets/3/labels", "javascript:alert(1)", "/datasets/3/"),
        ("/datasets/3/", "", "/"),
        ("/search/4/", "", "/datasets/4/"),
        ("/runs/new?dataset=5", "", "/datasets/5/"),
        ("/runs/new?dataset=x", "", "/"),
        ("/runs/new?dataset=%F0%9F%90%88", "", "/"),
        ("/runs/new", "", "/"),
    ],
)
def test_back_is_never_the_address_that_failed(address: str, before: str, expected: str) -> None:
    request = RequestFactory().get(address, headers={"Referer": before} if before else {})
    assert back_url(request) == expected
