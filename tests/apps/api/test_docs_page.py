"""The API's page in a browser, under its content security policy."""

from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from playwright.sync_api import Browser, expect

from apps.accounts.models import User
from tests.apps.api.conftest import World


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_the_page_works_without_complaints(
    browser: Browser, live_server: Any, mine: World, user: User, client_for: Callable[[User], Client]
) -> None:
    session = client_for(user).cookies[settings.SESSION_COOKIE_NAME].value
    complaints: list[str] = []
    context = browser.new_context()
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": live_server.url}])
    page = context.new_page()
    page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{live_server.url}/api/docs/")
    expect(page.get_by_text("/api/v1/embeddings")).to_be_visible()
    page.locator("#operations-datasets-v1_datasets_list").get_by_role("button").first.click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()
    answer = page.locator(".live-responses-table .microlight").first
    expect(answer).to_contain_text('"name": "mine"')
    context.close()
    assert complaints == []
