import pytest
from playwright.sync_api import sync_playwright
from apps.accounts.tokens import token_create
FLAGS = ["--no-sandbox", "--disable-background-networking", "--disable-quic"]

@pytest.mark.django_db(transaction=True)
def test_shots(live_server, mine, user, client_for):
    session = client_for(user).cookies["sessionid"].value
    token_create(user=user, name="Nightly catalogue sync", scopes=["read", "embed"], days=None)
    with sync_playwright() as p:
        b = p.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        for scheme in ("light", "dark"):
            c = b.new_context(color_scheme=scheme, viewport={"width": 1200, "height": 1000})
            c.add_cookies([{"name": "sessionid", "value": session, "url": live_server.url}])
            page = c.new_page()
            page.on("console", lambda m: print(m.text))
            page.goto(f"{live_server.url}/api/docs/")
            page.get_by_text("/api/v1/embeddings").wait_for()
            page.locator("#operations-inference-search_create").get_by_role("button").first.click()
            page.wait_for_timeout(800)
            page.screenshot(path=f"/tmp/kd_api_docs_{scheme}.png")
            page.locator("#operations-inference-search_create").scroll_into_view_if_needed()
            page.screenshot(path=f"/tmp/kd_api_docs_{scheme}_full.png", full_page=True)
            page.goto(f"{live_server.url}/tokens/")
            page.fill("input[name=name]", "robot")
            page.get_by_role("button", name="Make token").click()
            page.wait_for_timeout(400)
            page.screenshot(path=f"/tmp/kd_api_tokens_{scheme}.png", full_page=True)
            page.set_viewport_size({"width": 390, "height": 800})
            page.screenshot(path=f"/tmp/kd_api_tokens_{scheme}_small.png", full_page=True)
            page.goto(f"{live_server.url}/api/docs/")
            page.get_by_text("/api/v1/embeddings").wait_for()
            print("WIDTH", page.evaluate("document.documentElement.scrollWidth"))
            page.screenshot(path=f"/tmp/kd_api_docs_{scheme}_small.png")
        b.close()
