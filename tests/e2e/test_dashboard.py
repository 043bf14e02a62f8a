"""The dashboard in a real browser, against a real platform: what people do, and what they must not.

One installation for all of it. It is set up through the pages, as somebody would.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import tarfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit
from uuid import uuid4

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import (
    Browser,
    BrowserContext,
    Locator,
    Page,
    Request,
    Response,
    Route,
    expect,
)

from services.cli.demo.api import Api
from services.cli.demo.customer import Customer, customer
from services.cli.demo.proofs import verified, with_one_line_edited
from services.gateway.pages import pages
from services.launcher.directory import DataDirectory
from services.launcher.up import Platform
from shared.bus import Bus, Delivery
from shared.bus.base import EVENTS
from shared.bus.jetstream import connect
from shared.errors import InvalidInputError
from shared.keys.reading import read_signing_key
from tests.support.browser import browser
from tests.support.platform import choose_port, held
from tests.support.proxy import proxy
from tests.support.receiver import receiver
from tests.support.waiting import eventually

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

EMAIL, PASSWORD = "ada@example.com", "twelve words are a good password"
VIEWER, OPERATOR = "viewer@example.com", "operator@example.com"
CONTENT = (
    "CREATE TABLE items (id int PRIMARY KEY, name text);"
    "INSERT INTO items SELECT g, repeat(md5(g::text), 20) FROM generate_series(1, 5000) g;"
)
LARGE = (
    "CREATE TABLE large (id int PRIMARY KEY, text text);"
    "INSERT INTO large SELECT g, repeat(md5(g::text), 1000) FROM generate_series(1, 2000) g;"
)
HOOK_SECRET = "whsec_" + "c2FtcGxlLXNhbXBsZS1zYW1wbGUtc2FtcGxl"
WITHIN_MS = 30_000


class House:
    """A platform, a customer's server, a browser, and the first administrator in it."""

    def __init__(self, platform: Platform, source: Customer, chrome: Browser, folder: Path) -> None:
        self.platform, self.customer, self.chrome, self.folder = platform, source, chrome, folder
        self.complaints: list[str] = []
        self.context: BrowserContext
        self.run_url = ""

    @property
    def url(self) -> str:
        return self.platform.url

    async def load(self, name: str, content: str = CONTENT) -> None:
        """Make a database of the customer's."""
        connection = await self.customer.database("postgres").connect()
        await connection.execute(f'CREATE DATABASE "{name}"')
        await connection.close()
        connection = await self.customer.database(name).connect()
        await connection.execute(content)
        await connection.close()

    async def newcomer(self) -> BrowserContext:
        """A browser that nobody is signed in with; it notes what the pages complain of."""
        context = await self.chrome.new_context(
            base_url=self.url, viewport={"width": 1280, "height": 800}
        )
        context.set_default_timeout(WITHIN_MS)
        context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        context.on(
            "console",
            lambda said: (
                self.complaints.append(said.text)
                if "Content Security Policy" in said.text
                else None
            ),
        )
        return context

    @asynccontextmanager
    async def page(self, path: str, context: BrowserContext | None = None) -> AsyncIterator[Page]:
        """A tab at `path`."""
        page = await (context or self.context).new_page()
        try:
            await page.goto(path)
            yield page
        finally:
            await page.close()

    @asynccontextmanager
    async def bus(self) -> AsyncIterator[Bus]:
        """The bus as the notifier uses it, who may write dead letters of any name."""
        settings = self.platform.installation.bus_settings("notifier")
        async with connect(settings, source="test", gate=False) as bus:
            yield bus

    @asynccontextmanager
    async def api(self) -> AsyncIterator[Api]:
        """The administrator's calls without a page."""
        async with aiohttp.ClientSession(self.url) as session:
            body = {"email": EMAIL, "password": PASSWORD}
            signed_in = await Api(session).post("/auth/login", body)
            session.headers["Authorization"] = f"Bearer {signed_in['access_token']}"
            yield Api(session)

    async def reached_by(
        self,
        api: Api,
        name: str,
        port: int,
        endpoint: str = "main",
        environment: str = "production",
    ) -> str:
        """The customer's server once more, under a name, through another port; its id."""
        known = self.customer.database("postgres")
        engine = {"kind": "postgresql", "host": known.host, "port": port, "tls": "off"}
        who = {"user": known.user, "password": known.password}
        endpoints = [{"name": endpoint, "engine": engine | who}]
        server = {"name": name, "runner": {"kind": "local"}, "endpoints": endpoints}
        server["environment"] = environment
        return str((await api.post("/servers", server))["id"])

    async def set_up(self) -> None:
        """From the address that `holdfast up` prints to a first backup, through the pages."""
        self.context = await self.newcomer()
        token = self.platform.first_admin_token
        async with self.page(f"/setup#token={token}") as page:
            await page.get_by_label("Your name").fill("Ada")
            await page.get_by_label("E-mail address").fill(EMAIL)
            await page.get_by_label("Password").fill(PASSWORD)
            await page.get_by_role("button", name="Create administrator").click()

            await page.get_by_role("link", name="Add a store").click()
            root = self.folder / "cellar"
            root.mkdir(mode=0o700)
            await page.get_by_label("Name").fill("cellar")
            await page.get_by_label("Directory").fill(str(root))
            await page.get_by_role("button", name="Save and test").click()
            await page.wait_for_url("**/stores")

            await page.get_by_role("link", name="Overview").click()
            await page.get_by_role("link", name="Add a server").click()
            known = self.customer.database("shop")
            await page.get_by_label("Name").fill("db-main")
            await page.get_by_label("Host").fill(known.host)
            await page.get_by_label("Port").fill(str(known.port))
            await page.get_by_label("User", exact=True).fill(known.user)
            await page.get_by_label("Password").fill(known.password)
            await page.get_by_label("TLS").select_option("off")
            await page.get_by_role("button", name="Save and test").click()
            await expect(page.get_by_role("link", name="shop")).to_be_visible(timeout=WITHIN_MS)
            await page.get_by_role("link", name="Done").click()

            await page.get_by_role("button", name="Back up now").click()
            dialog = page.get_by_role("dialog", name="Back up now")
            await dialog.get_by_label("Database").select_option(label="shop (main)")
            await dialog.get_by_role("button", name="Start backup").click()
            await page.wait_for_url("**/runs/*")
            self.run_url = page.url
            await expect(page.get_by_test_id("status")).to_have_text("Completed", timeout=WITHIN_MS)


def pill(page: Page) -> Locator:
    """What tells how the connection stands: there is one for each width of the screen."""
    return page.get_by_test_id("connection").locator("visible=true")


async def drawn(page: Page) -> Locator:
    """The page, once it shows what it was asked for: what is absent now is not there."""
    main = page.get_by_role("main")
    await expect(page.get_by_role("heading", level=1)).to_be_visible()
    await expect(main.locator("tbody tr, h2, dl, li").first).to_be_visible()
    await expect(main.locator("[aria-busy=true]")).to_have_count(0)
    return main


async def sign_in(page: Page, email: str) -> None:
    await page.get_by_label("E-mail address").fill(email)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url(lambda url: "/login" not in url)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    assert pages().built, "no dashboard: run .ci/frontend build (make test does)"
    folder = tmp_path_factory.mktemp("d")
    async with AsyncExitStack() as stack:
        source = await stack.enter_async_context(customer(folder / "customer"))
        home = DataDirectory(folder / "home")
        choose_port(home)
        platform = await stack.enter_async_context(held(home))
        await source.started()
        chrome = await stack.enter_async_context(browser())
        house = House(platform, source, chrome, folder)
        await house.load("shop")
        await house.set_up()
        yield house


async def test_a_first_run_ends_in_a_completed_backup_and_says_that_all_is_safe(
    house: House,
) -> None:
    async with house.page("/") as page:
        await expect(pill(page)).to_have_text("Live", timeout=WITHIN_MS)
        await expect(page.get_by_test_id("hero")).to_contain_text("1 protected")

    async with house.page(house.run_url) as page:
        await expect(page.get_by_role("log")).to_contain_text("pg_dump")
        await expect(page.get_by_role("heading", level=1)).to_have_text("Backup of shop on db-main")
        # It ended before the page was opened: what it read in which time is still told.
        await expect(page.get_by_role("main")).to_contain_text("on average")


SLOW_LINE_S = 0.004
"""Per 64 kB: on a fast line a backup is over before a page could show it move."""
WATCHED = """() => {
    window.amounts = new Set()
    new MutationObserver(() => {
        for (const bar of document.querySelectorAll('[role=progressbar]'))
            for (const [amount] of bar.parentElement.textContent.matchAll(/[0-9.]+ [kMG]B/g))
                window.amounts.add(amount)
    }).observe(document.body, { subtree: true, childList: true, characterData: true })
}"""


async def test_the_progress_of_a_running_backup_moves_without_a_reload(house: House) -> None:
    await house.load("large", LARGE)
    known = house.customer.database("large")
    async with (
        proxy(known.port) as line,
        house.page("/runs?kind=backup") as page,
        house.api() as api,
    ):
        line.delay_s = SLOW_LINE_S
        await expect(pill(page)).to_have_text("Live", timeout=WITHIN_MS)
        await page.evaluate(WATCHED)
        server = await house.reached_by(api, "slow-line", line.port)
        store = (await api.get("/stores"))["items"][0]["id"]
        place = {"server_id": server, "endpoint": "main", "name": "large"}
        asked = await api.post("/backups", {"database": place, "store_id": store})
        await api.ended(asked["run_id"])

        row = page.get_by_role("row").filter(has=page.locator(f"a[href='/runs/{asked['run_id']}']"))
        await expect(row).to_contain_text("Completed", timeout=WITHIN_MS)
        await expect(row).to_contain_text("Backup of large")
        assert len(await page.evaluate("[...window.amounts]")) > 1

    # Whoever comes when it is over still sees how fast it was all the time.
    async with house.page(f"/runs/{asked['run_id']}") as page:
        curve = page.get_by_role("img", name="Bytes read a second")
        await expect(curve).to_be_visible(timeout=WITHIN_MS)
        await expect(page.get_by_role("main")).to_contain_text("on average, at most")


async def test_a_waiting_run_is_cancelled_from_its_page_which_shows_it_live(house: House) -> None:
    await house.load("locked")
    holding = await house.customer.database("locked").connect()
    try:
        await holding.execute("BEGIN; LOCK TABLE items")
        async with house.page("/backups") as page:
            await page.get_by_role("button", name="Back up now").click()
            dialog = page.get_by_role("dialog")
            async with house.api() as api:
                server = (await api.get("/servers?name=db-main"))["items"][0]["id"]
                await api.get(f"/servers/{server}/databases")
            # What was just found is in the open form without a reload.
            await dialog.get_by_label("Database").select_option(label="locked (main)")
            await dialog.get_by_role("button", name="Start backup").click()
            await page.wait_for_url("**/runs/*")
            await expect(page.get_by_test_id("status")).to_have_text("Running", timeout=WITHIN_MS)

            await page.get_by_role("button", name="Cancel", exact=True).click()
            await page.get_by_role("button", name="Cancel the run").click()

            await expect(page.get_by_test_id("status")).to_have_text("Cancelled", timeout=WITHIN_MS)
    finally:
        await holding.close()


async def test_the_overview_shows_what_runs_however_much_ended_since(house: House) -> None:
    await house.load("busy")
    holding = await house.customer.database("busy").connect()
    try:
        await holding.execute("BEGIN; LOCK TABLE items")
        async with house.api() as api:
            server = (await api.get("/servers?name=db-main"))["items"][0]["id"]
            store = (await api.get("/stores"))["items"][0]["id"]
            place = {"server_id": server, "endpoint": "main", "name": "busy"}
            asked = await api.post("/backups", {"database": place, "store_id": store})
            for _ in range(10):
                await api.post(f"/servers/{server}/test-connection", {})
            newest = (await api.get("/runs?limit=8"))["items"]
            assert asked["run_id"] not in {run["id"] for run in newest}

            async with house.page("/") as page:
                link = page.get_by_role("link", name="Backup of busy on db-main")
                await expect(link).to_be_visible(timeout=WITHIN_MS)
                await page.get_by_role("link", name="All that run").click()
                await page.wait_for_url("**/runs?status=open")
                await expect(page.get_by_role("row").filter(has_text="busy")).to_be_visible()
            await holding.execute("ROLLBACK")
            await api.ended(asked["run_id"])
    finally:
        await holding.close()


async def test_a_warning_leads_to_what_it_is_about(house: House) -> None:
    async with house.api() as api:
        await api.post("/dispatch/pause", {"reason": "a move"})
        try:
            async with house.page("/") as page:
                warnings = page.get_by_role("list", name="Warnings")
                await warnings.get_by_role("link", name="No run begins").click()
                await page.wait_for_url("**/runs")
        finally:
            await api.post("/dispatch/resume", {})


async def test_what_is_left_to_set_up_stays_on_the_overview_until_it_is_put_away(
    house: House,
) -> None:
    async with house.page("/") as page:
        left = page.get_by_role("region", name="Left to set up")
        await expect(left).to_contain_text("Set a schedule", timeout=WITHIN_MS)
        await expect(left).to_contain_text("Add a channel")
        await expect(left).not_to_contain_text("Add a store")
        await left.get_by_role("button", name="Put away").click()
        await expect(left).to_have_count(0)

        await page.reload()
        await expect(page.get_by_text("Good backups, 30 days")).to_be_visible()
        await page.wait_for_load_state("networkidle")
        await expect(left).to_have_count(0)


async def test_a_failed_run_tells_its_cause_and_the_likely_fix(house: House) -> None:
    async with house.api() as api:
        server = (await api.get("/servers?name=db-main"))["items"][0]["id"]
        store = (await api.get("/stores"))["items"][0]["id"]
        place = {"server_id": server, "endpoint": "main", "name": "nowhere"}
        asked = await api.post("/backups", {"database": place, "store_id": store})

    async with house.page(f"/runs/{asked['run_id']}") as page:
        await expect(page.get_by_test_id("status")).to_have_text("Failed", timeout=WITHIN_MS)
        alert = page.get_by_role("alert")
        await expect(alert).to_contain_text("no database of this name")
        await expect(alert).to_contain_text("Likely fix")
        stages = page.get_by_role("list", name="Stages").get_by_role("listitem")
        await expect(stages.filter(has_text="(failed here)")).to_have_text(
            ["Connecting (failed here)"]
        )
        await expect(stages.filter(has_text="Copying")).to_contain_text("(not reached)")


async def test_the_restore_wizard_leads_to_a_proved_restore(house: House) -> None:
    async with house.page("/backups?status=completed") as page:
        await page.get_by_role("link", name="shop").first.click()
        await page.get_by_role("link", name="Restore", exact=True).click()
        restore = page.get_by_role("button", name="Restore", exact=True)
        await page.get_by_label("New database").fill("shop_again")
        await page.get_by_label("Reason").fill("a drill")
        await expect(restore).to_be_disabled()
        await page.get_by_role("button", name="Check the target now").click()
        checks = page.get_by_role("list", name="Before it begins")
        await expect(checks).to_contain_text("The target answered just now", timeout=WITHIN_MS)
        await expect(checks).to_contain_text("Version 16")
        await expect(checks).to_contain_text("shop_again is free there")
        await page.get_by_label("Type shop_again to confirm").fill("shop_again")
        await restore.click()

        await page.wait_for_url("**/runs/*")
        await expect(page.get_by_test_id("proof")).to_contain_text("Proved.", timeout=WITHIN_MS)
        await expect(page.get_by_test_id("proof")).to_contain_text("5,000 rows")


async def few_servers(route: Route) -> None:
    """As where there are more servers than one page of a list holds."""
    await route.continue_(url=route.request.url.replace("limit=50", "limit=1"))


async def test_a_restore_keeps_what_was_filled_in_and_finds_any_server_with_its_endpoint(
    house: House,
) -> None:
    known = house.customer.database("postgres")
    async with house.api() as api:
        first = (await api.get("/backups?status=completed"))["items"][-1]
        place = {name: first[name] for name in ("server_id", "endpoint")} | {"name": "shop"}
        asked = await api.post("/backups", {"database": place, "store_id": first["store_id"]})
        await api.ended(asked["run_id"])
        spare = await house.reached_by(api, "spare", known.port, endpoint="second")

    async with house.page("/backups") as page:
        await page.route("**/api/v1/servers?limit=50*", few_servers)
        await page.route("**/api/v1/servers?name=*", few_servers)
        await page.goto(f"/backups/{first['id']}/restore")
        await page.get_by_label("New database").fill("elsewhere")
        await page.get_by_label("Reason").fill("another drill")
        await page.get_by_label("Another point").select_option(asked["id"])
        await expect(page).to_have_url(re.compile(asked["id"]))
        await page.get_by_label("Find a server by its name").fill("spa")
        await page.get_by_label("Server", exact=True).select_option(label="spare")
        await expect(page.get_by_label("Endpoint")).to_have_value("second")
        await expect(page.get_by_label("New database")).to_have_value("elsewhere")
        await expect(page.get_by_label("Reason")).to_have_value("another drill")
        await page.get_by_label("Type elsewhere to confirm").fill("elsewhere")
        await page.get_by_role("button", name="Restore", exact=True).click()
        await page.wait_for_url("**/runs/*")
        heading = page.get_by_role("heading", level=1)
        await expect(heading).to_have_text("Restore of shop into elsewhere on spare")

    async with house.api() as api:
        restore = (await api.get(f"/restores?backup_id={asked['id']}"))["items"][0]
    assert (restore["target_server_id"], restore["target_endpoint"]) == (spare, "second")


async def test_a_backup_is_read_with_its_keys_and_says_so(house: House) -> None:
    async with house.page("/backups?status=completed") as page:
        await page.get_by_role("link", name="shop").first.click()
        await page.wait_for_url("**/backups/*")
        backup = page.url
        await page.get_by_role("button", name="Read with its keys").click()
        await page.wait_for_url("**/runs/*")

        await expect(page.get_by_test_id("status")).to_have_text("Completed", timeout=WITHIN_MS)
        await expect(page.get_by_test_id("proof")).to_contain_text("opened with the keys")
        await page.goto(backup)
        await expect(page.get_by_role("main")).not_to_contain_text("not yet")
        await expect(page.get_by_role("main")).to_contain_text("written nowhere")


async def test_a_viewer_is_offered_nothing_that_they_may_not_do(house: House) -> None:
    async with house.api() as api:
        body = {"email": VIEWER, "name": "Vic", "password": PASSWORD, "role": "viewer"}
        await api.post("/users", body)
        run = (await api.get("/runs?kind=backup&status=completed"))["items"][0]
        server = (await api.get("/servers?name=db-main"))["items"][0]["id"]
    refused: list[str] = []

    def note(answer: Response) -> None:
        if answer.status == 403:
            refused.append(answer.url)

    context = await house.newcomer()
    async with house.page("/databases", context) as page:
        page.on("response", note)
        await page.get_by_label("E-mail address").fill(VIEWER)
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("button", name="Sign in").click()
        await page.wait_for_url("**/databases")
        menu = page.get_by_role("navigation", name="Pages")
        await expect(menu.get_by_role("link", name="Overview")).to_be_visible()
        links = await menu.get_by_role("link").all()
        addresses = [str(await link.get_attribute("href")) for link in links]
        assert "/" in addresses
        assert not {"/audit", "/users"} & {*addresses}

        acting = {
            "button": re.compile(
                "^(Back up|Restore|Test|Read with|Hold|Verify|Delete|Change|Cancel|Run now|Pause"
                "|Import|New )"
            ),
            "link": re.compile("^(Add a|New |Change$|Restore$)"),
        }
        for path in [*addresses, f"/backups/{run['object_id']}", f"/servers/{server}"]:
            await page.goto(path)
            main = await drawn(page)
            # Links to runs are called what they did: a test, a restore.
            for kind, found in (("button", "button"), ("link", "a:not([href^='/runs/'])")):
                offered = await main.locator(found).all_inner_texts()
                assert not [text for text in offered if acting[kind].match(text)], path
        for path in ("/audit", "/users", "/keys", "/servers/new", "/stores/new", "/schedules/new"):
            await page.goto(path)
            await expect(page.get_by_role("main")).to_contain_text("not for your account")
    await context.close()

    assert not refused


async def test_a_form_with_something_typed_is_not_left_without_a_question(house: House) -> None:
    async with house.page("/") as page:
        await page.get_by_role("link", name="Policies").click()
        question = page.get_by_role("dialog", name="Leave without saving?")
        await page.get_by_role("button", name="New policy").first.click()
        form = page.get_by_role("dialog", name="New policy")
        await form.get_by_label("Name").fill("typed")
        for _ in range(3):  # a browser lets nobody hold it up for ever, but this is kept
            await page.keyboard.press("Escape")
            await question.get_by_role("button", name="Stay").click()
            await expect(question).to_have_count(0)
        await expect(form.get_by_label("Name")).to_have_value("typed")
        await page.go_back()
        await question.get_by_role("button", name="Leave").click()
        await expect(form).to_have_count(0)

        await page.goto("/policies")
        await page.get_by_role("button", name="New policy").first.click()
        await form.get_by_role("group", name="Presets").get_by_role("button").last.click()
        await form.get_by_role("button", name="Cancel").click()
        await question.get_by_role("button", name="Leave").click()
        await expect(form).to_have_count(0)

    async with house.page("/schedules/new") as page:
        await page.get_by_role("button", name="Every hour").click()
        await page.get_by_role("link", name="Cancel").click()
        asked = page.get_by_role("dialog", name="Leave without saving?")
        await asked.get_by_role("button", name="Leave").click()
        await page.wait_for_url("**/schedules")

    async with house.page("/stores/new") as page:
        await page.get_by_label("Name").fill("typed")
        await page.get_by_role("link", name="Cancel").click()
        asked = page.get_by_role("dialog", name="Leave without saving?")
        await asked.get_by_role("button", name="Stay").click()
        await expect(page.get_by_label("Name")).to_have_value("typed")
        await page.get_by_role("link", name="Cancel").click()
        await asked.get_by_role("button", name="Leave").click()
        await page.wait_for_url("**/stores")


async def test_a_key_never_expires_only_for_who_says_so(house: House) -> None:
    async with house.page("/developers") as page:
        for choice, days in (("In another number of days", "7"), ("Never", "")):
            await page.get_by_role("button", name="Make a key").click()
            dialog = page.get_by_role("dialog", name="Make an API key")
            await dialog.get_by_label("Name").fill(f"key {choice}")
            await dialog.get_by_role("button", name="All that only read").click()
            await dialog.get_by_label("Expires").select_option(label=choice)
            if days:
                await dialog.get_by_role("button", name="Make the key").click()
                await expect(dialog.get_by_label("Days")).to_be_focused()  # it is asked for
                await dialog.get_by_label("Days").fill(days)
            await dialog.get_by_role("button", name="Make the key").click()
            await dialog.get_by_role("button", name="Done").click()
            await expect(dialog).to_have_count(0)

    async with house.api() as api:
        made = {one["name"]: one["expires_at"] for one in (await api.get("/api-keys"))["items"]}
    assert made["key In another number of days"]
    assert made["key Never"] is None


async def test_a_list_goes_on_behind_its_first_page_and_filters_that_hide_all_are_cleared(
    house: House,
) -> None:
    async with house.api() as api:
        server = (await api.get("/servers?name=db-main"))["items"][0]["id"]
        template = {"name": "often", "kind": "shell", "template": "true", "roles": ["admin"]}
        command = (await api.post("/commands", template))["id"]
        for number in range(21):
            wish = {"server_id": server, "reason": f"time {number}"}
            await api.post(f"/commands/{command}/execute", wish)
    async with house.page("/commands?name=often") as page:
        await page.get_by_role("button", name="Executions of often").click()
        dialog = page.get_by_role("dialog", name="Executions")
        await expect(dialog.get_by_role("listitem")).to_have_count(20)
        await dialog.get_by_role("button", name="Show more").click()
        await expect(dialog.get_by_role("listitem")).to_have_count(21)
        await expect(dialog.get_by_role("button", name="Show more")).to_have_count(0)

    hidden = {
        f"/backups?status=expired&server={server}": "No backup matches the filters",
        f"/runs?kind=backup&status=dispatched&database={uuid4()}": "No run matches the filters",
        "/databases?name=nobody&safety=protected": "No database matches the filters",
        "/servers?name=nobody&health=healthy": "No server matches the filters",
        "/schedules?name=nobody&paused=yes": "No schedule matches the filters",
    }
    async with house.page("/") as page:
        main = page.get_by_role("main")
        for path, told in hidden.items():
            await page.goto(path)
            await expect(main).to_contain_text(told)
            await main.get_by_role("button", name="Clear the filters").click()
            await expect(page).to_have_url(house.url + path.partition("?")[0])
            await expect(main).not_to_contain_text(told)


LISTS = {
    "channels": ("/api/v1/notifications/channels", "/notifications", "article"),
    "blackouts": ("/api/v1/blackouts", "/schedules?tab=windows", "tbody tr"),
    "restores": ("/api/v1/restores", "/backups/{backup}", "li:has(a[href^='/runs/'])"),
    "dead letters": ("/api/v1/dlq", "/system", "li:has-text('for refuser:')"),
}
"""Of each: where it is asked for, which page shows it, and what one of it looks like there."""


async def one_each(route: Route) -> None:
    """As if a page of the list held one thing."""
    address = urlsplit(route.request.url)
    query = dict(parse_qsl(address.query)) | {"limit": "1"}
    await route.continue_(url=address._replace(query=urlencode(query)).geturl())


async def two_of_each(house: House, api: Api) -> str:
    """Two channels, blackouts and dead letters, and two restores of the backup whose id it is."""
    for name in ("first", "second"):
        hook = {"kind": "webhook", "url": f"https://{name}.example/x", "secret": HOOK_SECRET}
        channel = {"name": f"page {name}", "channel": hook, "enabled": False}
        await api.post("/notifications/channels", channel)
        await api.post("/blackouts", {"name": f"page {name}", "cron": "0 9 * * *", "minutes": 60})
    async with house.bus() as bus:
        refusing = asyncio.create_task(
            bus.work("refuser", EVENTS, ("cfg.blackout.>",), refuse_to_work)
        )
        await eventually(lambda: _letters(api, 2), what="two letters are dead")
        refusing.cancel()
        await asyncio.gather(refusing, return_exceptions=True)
    backup = (await api.get("/backups?status=completed"))["items"][-1]
    place = {"server_id": backup["server_id"], "endpoint": backup["endpoint"]}
    for name in ("paged_first", "paged_second"):
        wish = {"target": place | {"name": name}, "reason": "a drill"}
        asked = await api.post(f"/backups/{backup['id']}/restore", wish)
        await api.ended(asked["run_id"])
    return str(backup["id"])


async def refuse_to_work(_: Delivery) -> None:
    raise InvalidInputError("nobody can do this")


async def _letters(api: Api, number: int) -> bool:
    return len((await api.get("/dlq?durable=refuser"))["items"]) >= number


async def test_channels_blackouts_restores_and_dead_letters_go_on_behind_their_first_page(
    house: House,
) -> None:
    async with house.api() as api:
        backup = await two_of_each(house, api)
    async with house.page("/") as page:
        main = page.get_by_role("main")
        for what, (asked, path, one) in LISTS.items():
            await page.route(re.compile(re.escape(asked) + r"(\?|$)"), one_each)
            await page.goto(path.format(backup=backup))
            await expect(main.locator(one), what).to_have_count(1)
            await main.get_by_role("button", name="Show more").click()
            await expect(main.locator(one), what).to_have_count(2)
            await page.unroute_all()
        await main.get_by_role("button", name="Try again").first.click()
        await expect(page.get_by_text("Handed over once more")).to_be_visible()


async def test_the_check_of_a_new_server_marks_what_went_well_what_failed_and_what_did_not_run(
    house: House,
) -> None:
    known = house.customer.database("postgres")
    async with house.page("/servers/new") as page:
        steps = page.get_by_role("main").locator("ol li")
        waiting = ["Saved, secrets sealed", "Reached, signed in, tools fit", "Databases found"]
        await expect(steps).to_have_text([f"Not yet: {step}" for step in waiting])
        await page.get_by_label("Name").fill("checked")
        await page.get_by_label("Host").fill(known.host)
        await page.get_by_label("Port").fill("1")
        await page.get_by_label("User", exact=True).fill(known.user)
        await page.get_by_label("Password").fill(known.password)
        await page.get_by_label("TLS").select_option("off")
        await page.get_by_role("button", name="Save and test").click()
        saved = "Done: Saved, secrets sealed"
        failed = [saved, "Failed: Reached, signed in, tools fit", "Not yet: Databases found"]
        await expect(steps).to_have_text(failed, timeout=WITHIN_MS)
        await expect(page.get_by_role("alert")).to_contain_text("Likely fix")

        await page.get_by_label("Port").fill(str(known.port))
        await page.get_by_label("Password").fill(known.password)
        await page.get_by_role("button", name="Save and test again").click()
        reached = re.compile(r"^Done: Reached, signed in, tools fit\s*main: 16")
        await expect(steps).to_have_text(
            [saved, reached, "Done: Databases found"], timeout=WITHIN_MS
        )
        await expect(page.get_by_role("alert")).to_have_count(0)
        await page.get_by_role("link", name="Show server").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("checked")
        await page.get_by_role("button", name="Test", exact=True).click()
        await expect(page.get_by_text("It works")).to_be_visible(timeout=WITHIN_MS)


async def in_staging(house: House, api: Api, name: str = "db-staging") -> str:
    """The customer's server once more, in staging; what is found there is known."""
    server = await house.reached_by(
        api, name, house.customer.database("shop").port, environment="staging"
    )
    await api.get(f"/servers/{server}/databases")
    return server


async def operator_of_staging(api: Api, email: str) -> None:
    """An account that may act in staging, and look at everything."""
    body = {"email": email, "name": "Otto", "password": PASSWORD, "role": "operator"}
    grants = [{"role": "operator", "environments": ["staging"]}, {"role": "viewer"}]
    await api.post("/users", body | {"grants": grants})


async def test_an_operator_of_staging_is_offered_what_they_may_do_there_and_nothing_else(
    house: House,
) -> None:
    async with house.api() as api:
        staging = await in_staging(house, api)
        main = (await api.get("/servers?name=db-main"))["items"][0]["id"]
        await operator_of_staging(api, OPERATOR)
        for name, roles in (("tidy", ["operator", "admin"]), ("wipe", ["admin"])):
            template = {"name": name, "kind": "shell", "template": "true", "roles": roles}
            await api.post("/commands", template)
        production = f"/backups?server_id={main}&status=completed"
        backup = (await api.get(production))["items"][0]["id"]
        databases = {
            one["server_id"]: one["id"]
            for one in (await api.get("/databases?name=shop"))["items"]
            if one["name"] == "shop"
        }
    refused: list[str] = []
    context = await house.newcomer()
    async with house.page("/commands", context) as page:
        page.on("response", lambda said: refused.append(said.url) if said.status == 403 else None)
        await sign_in(page, OPERATOR)
        await page.goto("/commands")
        rows = (await drawn(page)).get_by_role("row")
        await expect(rows.filter(has_text="wipe")).to_contain_text("Not for your role")
        await expect(
            rows.filter(has_text="wipe").get_by_role("button", name="Execute", exact=True)
        ).to_have_count(0)
        await rows.filter(has_text="tidy").get_by_role("button", name="Execute", exact=True).click()
        servers = page.get_by_role("dialog").get_by_label("Server").locator("option")
        await expect(servers).to_have_text(["db-staging"])

        acts = re.compile("^(Restore|Verify|Hold|Back up now|Policy and tags|Test|Look|Download)")
        for path in (f"/backups/{backup}", f"/databases/{databases[main]}", f"/servers/{main}"):
            await page.goto(path)
            offered = await (await drawn(page)).locator("button, a[href*='/restore']").all()
            assert not [it for it in offered if acts.match(await it.inner_text())], path
        await page.goto(f"/servers/{staging}")
        await expect(page.get_by_role("button", name="Test", exact=True)).to_be_visible()
        await page.goto(f"/databases/{databases[staging]}")
        await page.get_by_role("button", name="Back up now").click()
        choices = page.get_by_role("dialog").get_by_label("Database").locator("option")
        await expect(choices.filter(has_text="db-staging").first).to_be_attached()
        await expect(choices.filter(has_text="db-main")).to_have_count(0)
    await context.close()

    assert not refused


async def test_an_operator_of_staging_stops_runs_and_checks_targets_there_and_nowhere_else(
    house: House,
) -> None:
    await house.load("stuck")
    holding = await house.customer.database("stuck").connect()
    context = await house.newcomer()
    try:
        await holding.execute("BEGIN; LOCK TABLE items")
        async with house.api() as api:
            await operator_of_staging(api, "stopper@example.com")
            staging = await in_staging(house, api, "db-stop")
            main = (await api.get("/servers?name=db-main"))["items"][0]["id"]
            production = f"/backups?server_id={main}&status=completed"
            backup = (await api.get(production))["items"][0]["id"]
            store = (await api.get("/stores?name=cellar"))["items"][0]["id"]
            run = {}
            for server in (main, staging):
                place = {"server_id": server, "endpoint": "main", "name": "stuck"}
                asked = await api.post("/backups", {"database": place, "store_id": store})
                run[server] = f"/runs/{asked['run_id']}"

        async with house.page("/", context) as page:
            await sign_in(page, "stopper@example.com")
            cancel = page.get_by_role("button", name="Cancel", exact=True)
            await page.goto(run[staging])
            await expect(cancel).to_be_visible()
            await page.goto(run[main])
            await expect(page.get_by_test_id("status")).to_have_text("Running", timeout=WITHIN_MS)
            await expect(page.get_by_role("heading", level=1)).to_contain_text("on db-main")
            await expect(cancel).to_have_count(0)

            check = page.get_by_role("button", name="Check the target now")
            await page.goto(f"/backups/{backup}/restore")
            servers = page.get_by_label("Server", exact=True)
            await expect(page.get_by_label("Endpoint")).to_have_value("main")
            await expect(servers.locator("option:checked")).to_have_text("db-main")
            await expect(check).to_have_count(0)
            await servers.select_option(label="db-stop")
            await expect(check).to_be_visible()
            await expect(servers.locator("option").filter(has_text="db-main")).to_have_count(0)
            told = "Your account may not restore from db-main to db-stop"
            await expect(page.get_by_role("main")).to_contain_text(told)
            restore = page.get_by_role("button", name="Restore", exact=True)
            await expect(restore).to_have_count(0)
    finally:
        await holding.close()
        await context.close()


async def test_an_administrator_of_a_part_is_offered_where_servers_may_be_added_and_nowhere_else(
    house: House,
) -> None:
    refused: list[str] = []
    async with house.api() as api:
        group = str((await api.post("/server-groups", {"name": "shops"}))["id"])
        for email, scope in (
            ("of-staging@example.com", {"environments": ["staging"]}),
            ("of-shops@example.com", {"environments": ["staging"], "group_ids": [group]}),
        ):
            body = {"email": email, "name": "Ann", "password": PASSWORD, "role": "admin"}
            await api.post("/users", body | {"grants": [{"role": "admin"} | scope]})

    for email in ("of-staging@example.com", "of-shops@example.com"):
        context = await house.newcomer()
        async with house.page("/login", context) as page:
            page.on(
                "response", lambda said: refused.append(said.url) if said.status == 403 else None
            )
            await sign_in(page, email)
            await expect(page.get_by_test_id("hero")).to_be_visible()
            assert not refused
            menu = page.get_by_role("navigation", name="Pages")
            links = await menu.get_by_role("link").all()
            for address in [str(await link.get_attribute("href")) for link in links]:
                await page.goto(address)
                await drawn(page)
                assert not refused, address
            await page.goto("/servers/new")
            environment = page.get_by_label("Environment")
            await expect(environment).to_have_value("staging")
            if email.startswith("of-staging"):
                await expect(environment.locator("option")).to_have_text(["staging"])
            else:
                await environment.fill("production")
                told = "only in staging or the group shops"
                await expect(page.get_by_role("alert")).to_contain_text(told)
                await page.get_by_label("shops").check()
                await expect(page.get_by_role("alert")).to_have_count(0)
            known = house.customer.database("postgres")
            await page.get_by_label("Name").fill(email)
            await page.get_by_label("Host").fill(known.host)
            await page.get_by_label("Port").fill(str(known.port))
            await page.get_by_label("User", exact=True).fill(known.user)
            await page.get_by_label("Password").fill(known.password)
            await page.get_by_label("TLS").select_option("off")
            await page.get_by_role("button", name="Save and test").click()
            await expect(page.get_by_role("link", name="Show server")).to_be_visible(
                timeout=WITHIN_MS
            )
        await context.close()

    assert not refused


async def test_two_tabs_share_one_stream_and_the_second_goes_on_when_the_first_is_closed(
    house: House,
) -> None:
    context = await house.newcomer()
    streams: list[tuple[Page, str]] = []

    def note(request: Request) -> None:
        if "/v1/events" in request.url:
            streams.append((request.frame.page, request.url))

    context.on("request", note)
    async with house.page("/login", context) as first:
        await first.get_by_label("E-mail address").fill(EMAIL)
        await first.get_by_label("Password").fill(PASSWORD)
        await first.get_by_role("button", name="Sign in").click()
        await expect(pill(first)).to_have_text("Live", timeout=WITHIN_MS)
        second = await context.new_page()
        await second.goto("/policies")
        await expect(pill(second)).to_have_text("Live", timeout=WITHIN_MS)

        assert {page for page, _ in streams} == {first}

    await eventually(
        lambda: any(page == second for page, _ in streams), what="the second tab takes over"
    )
    assert "after=e" in streams[-1][1]
    await context.close()


async def test_a_page_recovers_when_the_gateway_was_away_and_shows_what_happened_since(
    house: House,
) -> None:
    async with house.page("/stores") as page:
        shown = pill(page)
        await expect(shown).to_have_text("Live", timeout=WITHIN_MS)
        async with house.platform.paused(("gateway",)):
            await expect(shown).not_to_have_text("Live", timeout=WITHIN_MS)
        await expect(shown).to_have_text("Live", timeout=WITHIN_MS)

        async with house.api() as api:
            store = {"kind": "local", "root": str(house.folder)}
            await api.post("/stores", {"name": "made meanwhile", "store": store})

        await expect(page.get_by_text("made meanwhile")).to_be_visible(timeout=WITHIN_MS)


async def test_a_webhook_is_added_and_its_delivery_is_seen(house: House) -> None:
    async with receiver() as inbox, house.page("/notifications") as page:
        await page.get_by_role("button", name="New channel").click()
        dialog = page.get_by_role("dialog")
        await dialog.get_by_label("Name").fill("On-call")
        await dialog.get_by_text("Webhook", exact=True).click()
        await dialog.get_by_label("URL").fill(f"{inbox.url}/hook")
        await dialog.get_by_role("button", name="Make a signing secret").click()
        await dialog.get_by_role("button", name="Save").click()
        channel = page.get_by_role("article").filter(has_text="On-call")
        await channel.get_by_role("button", name="Test").click()
        await expect(page.get_by_text("It arrived")).to_be_visible(timeout=WITHIN_MS)

        await page.get_by_text("Deliveries", exact=True).click()
        row = page.get_by_role("row").filter(has_text="On-call")
        await expect(row).to_contain_text("Sent", timeout=WITHIN_MS)

    assert [one.path for one in inbox.requests] == ["/hook"]
    assert inbox.requests[0].headers["webhook-signature"]


async def test_a_group_is_made_a_server_put_into_it_and_what_goes_by_it_chosen(
    house: House,
) -> None:
    async with house.page("/servers?tab=groups") as page:
        main = page.get_by_role("main")
        await page.get_by_role("button", name="New group").first.click()
        dialog = page.get_by_role("dialog")
        await dialog.get_by_label("Name").fill("billing")
        await dialog.get_by_label("Quota, GB").fill("5")
        await dialog.get_by_role("button", name="Save").click()
        row = main.get_by_role("row").filter(has_text="billing")
        await expect(row).to_contain_text("5")

        await page.goto("/servers")
        await main.get_by_role("link", name="db-main").click()
        await page.get_by_role("link", name="Change").click()
        await page.get_by_label("billing").check()
        await page.get_by_role("button", name="Save").click()
        await page.wait_for_url("**/servers/*-*")
        await expect(main).to_contain_text("billing")

        await page.goto("/servers?tab=groups")
        await row.get_by_role("link", name="billing").click()
        await expect(main.get_by_role("row").filter(has_text="db-main")).to_have_count(1)
        await expect(page.get_by_label("Group")).to_have_value(page.url.rpartition("=")[2])

        await page.goto("/schedules/new")
        await page.get_by_label("Name").fill("by group")
        await page.get_by_label("billing").check()
        await page.get_by_role("button", name="Save").click()
        await page.wait_for_url("**/schedules/*-*")
        await expect(main).to_contain_text("billing")

        await page.goto("/servers?tab=groups")
        await row.get_by_role("button", name="Delete billing").click()
        asked = page.get_by_role("dialog")
        await asked.get_by_role("textbox").fill("billing")
        await asked.get_by_role("button", name="Delete group").click()
        await expect(asked).to_contain_text("a server belongs to this group")


async def test_a_template_is_tried_while_it_is_written_and_a_rule_takes_its_words(
    house: House,
) -> None:
    async with house.api() as api:
        hook = {"kind": "slack", "url": "https://hooks.example.com/backups"}
        await api.post("/notifications/channels", {"name": "Pager", "channel": hook})
    async with house.page("/notifications?tab=templates") as page:
        await page.get_by_role("button", name="New template").first.click()
        dialog = page.get_by_role("dialog")
        example = dialog.get_by_label("Example", exact=True).first
        await expect(example).to_contain_text("check host, port and firewall")
        await dialog.get_by_label("Name").fill("Short words")
        await dialog.get_by_label("For", exact=True).select_option("slack")
        words = dialog.get_by_label("Words")
        await words.fill("{{ text ")
        await expect(dialog.get_by_text("unexpected end of template")).to_be_visible()
        await words.fill("Look at {{ database }} of {{ server }}!")
        await expect(example).to_contain_text("Look at orders of shop!")
        await dialog.get_by_role("button", name="Save").click()
        await expect(page.get_by_role("row").filter(has_text="Short words")).to_have_count(1)

        await page.get_by_text("Rules", exact=True).click()
        await page.get_by_role("button", name="New rule").click()
        await dialog.get_by_label("Name").fill("Failures")
        await dialog.get_by_label("Tell").select_option("Pager")
        await dialog.get_by_label("In the words of").select_option("Short words")
        await dialog.get_by_role("button", name="Save").click()
        await expect(page.get_by_role("row").filter(has_text="Failures")).to_have_count(1)
        async with house.api() as api:
            rules = (await api.get("/notifications/rules"))["items"]
            templates = (await api.get("/notifications/templates"))["items"]

    assert [one["template_id"] for one in rules] == [templates[0]["id"]]


async def test_the_audit_log_is_exported_with_a_proof_that_holds(house: House) -> None:
    async with house.page("/audit") as page:
        await expect(page.get_by_test_id("verified-to")).to_have_text(
            re.compile(r"Signed to #\d{2,}")
        )
        async with page.expect_download() as download:
            await page.get_by_role("button", name="Export with proof").click()
        export = house.folder / "audit.jsonl"
        await (await download.value).save_as(export)

    key = read_signing_key(house.platform.installation.keys.audit_key).public
    proof = verified(export, key)
    assert proof is not None
    assert proof.entries >= 10
    edited = with_one_line_edited(export, house.folder / "edited.jsonl", "server.set")
    assert verified(edited, key) is None


async def test_single_keys_can_be_switched_off_in_the_profile_and_stay_off(house: House) -> None:
    async with house.page("/profile") as page:
        await page.get_by_role("switch", name="Single keys").uncheck()
        await page.reload()
        await expect(page.get_by_role("switch", name="Single keys")).not_to_be_checked()
        await page.get_by_role("heading", level=1).click()
        await page.keyboard.press("?")
        await page.keyboard.press("g")
        await page.keyboard.press("d")
        await expect(page.get_by_role("dialog", name="Keys")).to_have_count(0)
        await page.keyboard.press("Control+k")
        await expect(page.get_by_role("dialog", name="Go to")).to_be_visible()
        await page.keyboard.press("Escape")
        assert page.url.endswith("/profile")
        await page.get_by_role("switch", name="Single keys").check()
        await page.get_by_role("heading", level=1).click()
        await page.keyboard.press("g")
        await page.keyboard.press("d")
        await page.wait_for_url("**/databases")


async def test_an_example_of_the_api_is_copied(house: House) -> None:
    await house.context.grant_permissions(["clipboard-read", "clipboard-write"])
    async with house.page("/developers?tab=reference") as page:
        await page.get_by_role("button", name="Copy: Hear what happens").click()
        await expect(page.get_by_text("Copied")).to_be_visible()
        assert "/api/v1/events" in await page.evaluate("navigator.clipboard.readText()")


async def test_an_export_after_the_session_lapsed_asks_to_sign_in_and_goes_on(
    house: House,
) -> None:
    context = await house.newcomer()
    async with house.page("/login", context) as page:
        await sign_in(page, EMAIL)
        await page.goto("/audit")
        await drawn(page)
        await context.clear_cookies()
        await page.get_by_role("button", name="CSV").click()
        lapsed = page.get_by_role("status").filter(has_text="Your session has ended")
        await expect(lapsed).to_be_visible()
        await sign_in(page, EMAIL)
        await page.wait_for_url("**/audit")
        async with page.expect_download() as download:
            await page.get_by_role("button", name="CSV").click()
        assert (await download.value).suggested_filename == "audit.csv"
    await context.close()


async def test_an_archive_is_downloaded_by_the_browser_itself(house: House) -> None:
    async with house.page("/backups?status=completed") as page:
        await page.get_by_role("main").get_by_role("link", name="shop").first.click()
        async with page.expect_download(timeout=WITHIN_MS) as download:
            await page.get_by_role("button", name="Download archive").click()
        found = await download.value
        assert found.suggested_filename.endswith(".tar")
        # Not out of the page's memory: from the server, to the disk.
        assert "/api/v1/downloads/" in found.url
        archive = house.folder / "archive.tar"
        await found.save_as(archive)
    assert tarfile.is_tarfile(archive)


async def test_the_audit_page_hides_internal_steps_names_things_and_narrows_by_time(
    house: House,
) -> None:
    async with house.page("/audit") as page:
        main = await drawn(page)
        actions = page.get_by_label("Action").locator("option")
        await expect(actions.filter(has_text="Backup completed")).to_have_count(1)
        await expect(actions.filter(has_text="Claim set")).to_have_count(0)
        await page.get_by_label("Also internal steps").check()
        await expect(actions.filter(has_text="Claim set")).to_have_count(1)
        await page.get_by_label("Also internal steps").uncheck()

        await page.get_by_label("Action").select_option("store.set")
        named = main.get_by_role("row").filter(has_text="Store cellar").first
        await expect(named).to_be_visible()
        # Another choice than the present one is still there to be made.
        await expect(actions.filter(has_text="Backup completed")).to_have_count(1)
        await page.get_by_label("to", exact=True).fill("2020-01-01")
        await expect(main).to_contain_text("No entry matches the filters")
        await main.get_by_role("button", name="Clear the filters").click()
        await expect(main.get_by_role("row").nth(1)).to_be_visible()


async def test_the_audit_page_names_the_api_key_that_acted_and_what_is_deleted(
    house: House,
) -> None:
    async with house.api() as api:
        key = {"name": "nightly robot", "rights": ["policies.read", "policies.write"]}
        headers = {"Authorization": f"Bearer {(await api.post('/api-keys', key))['token']}"}
    async with aiohttp.ClientSession(house.url, headers=headers) as session:
        robot = Api(session)
        policy = await robot.post("/policies", {"name": "for a while", "keep_last": 1})
        where, version = f"/api/v1/policies/{policy['id']}", f'"{policy["version"]}"'
        async with session.delete(where, headers={"If-Match": version}) as answer:
            assert answer.status == 204

    async with house.page("/audit?action=policy.set") as page:
        rows = (await drawn(page)).get_by_role("row").filter(has_text="Policy for a while")
        await expect(rows).to_have_count(2, timeout=WITHIN_MS)
        for at in range(2):
            await expect(rows.nth(at)).to_contain_text("nightly robot (API key)")
        actors = page.get_by_label("Actor").locator("option")
        await expect(actors.filter(has_text="nightly robot (API key) (2)")).to_have_count(1)
        await rows.first.get_by_role("button", name="Show entry").click()
        dialog = page.get_by_role("dialog")
        await expect(dialog).to_contain_text("nightly robot (API key)")
        await expect(dialog).to_contain_text("Policy for a while")


HOSTILE = (
    "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>",
    "\u202eevil\u202c \u0639\u0631\u0628\u064a {{ 7 * 7 }} ${7*7}",
    "x" * 120,
)
LONG = "y" * 300 + HOSTILE[0] + HOSTILE[1]
HOSTILE_DATABASE = "<img src=x onerror='window.hacked = 1'> \u202elive\u202c"


async def name_everything(api: Api, folder: Path, name: str, at: int) -> None:
    """One of each thing that people name, called `name`."""

    async def make(path: str, **fields: object) -> str:
        return str((await api.post(path, {"name": name} | fields))["id"])

    store = await make("/stores", store={"kind": "local", "root": f"{folder}/h{at}"})
    policy = await make("/policies", keep_last=3)
    await make("/server-groups", description=LONG)
    await make("/notifications/templates", channel_kind="slack", body="{{ text }}")
    blank = {"name": "what", "description": LONG, "default": name}
    template = {"kind": "shell", "template": "true {{ what }}", "variables": [blank]}
    await make("/commands", description=LONG, roles=["admin"], **template)
    engine = {"kind": "postgresql", "host": "h", "user": name, "password": secrets.token_hex(4)}
    endpoints = [{"name": "main", "engine": engine}]
    await make("/servers", runner={"kind": "local"}, endpoints=endpoints)
    hook = {"kind": "webhook", "url": "https://hooks.example/x", "secret": HOOK_SECRET}
    channel = await make("/notifications/channels", channel=hook, enabled=False)
    rule = {"channel_id": channel, "facts": ["backup.failed"], "enabled": False}
    await make("/notifications/rules", **rule)
    target = {"store_id": store, "policy_id": policy}
    tags = {"tags": ["hostile"], "paused": True}
    await make("/schedules", cron="0 2 * * *", time_zone="UTC", targets=[target], **tags)
    await make("/blackouts", cron="0 9 * * *", minutes=60)
    await make("/objectives", rpo_s=90_000, tags=["hostile"])
    email = f"h{at}@example.com"
    await make("/users", email=email, password=PASSWORD, role="viewer")
    await make("/api-keys", rights=["backups.read"])


async def back_up_the_hostile_database(house: House, api: Api) -> str:
    """A database whose name is markup, backed up with a note that is, too; the run's id."""
    await house.load(HOSTILE_DATABASE)
    server = (await api.get("/servers?name=db-main"))["items"][0]["id"]
    await api.get(f"/servers/{server}/databases")
    store = (await api.get("/stores?name=cellar"))["items"][0]["id"]
    place = {"server_id": server, "endpoint": "main", "name": HOSTILE_DATABASE}
    body = {"database": place, "store_id": store, "note": HOSTILE[0]}
    run = str((await api.post("/backups", body))["run_id"])
    await api.ended(run)
    return run


async def test_hostile_names_are_shown_as_they_are_and_break_no_page(house: House) -> None:
    """Markup, text from right to left and names without a space, in everything that is named."""
    async with house.api() as api:
        for at, name in enumerate(HOSTILE):
            await name_everything(api, house.folder, name, at)
        run = await api.get(f"/runs/{await back_up_the_hostile_database(house, api)}")
        backup = await api.get(f"/backups/{run['object_id']}")
        await api.post(f"/backups/{backup['id']}/hold", {"reason": LONG})
    named = (
        *("/servers", "/stores", "/policies", "/policies?tab=objectives", "/commands"),
        *("/schedules", "/schedules?tab=windows", "/notifications", "/notifications?tab=rules"),
        *("/servers?tab=groups", "/notifications?tab=templates"),
        *("/users", "/developers"),
    )
    of_it = (
        *("/databases?name=%3Cimg", f"/databases/{backup['database_id']}", "/backups"),
        *(f"/backups/{backup['id']}", f"/backups/{backup['id']}/restore"),
    )
    wanted = dict.fromkeys(named, HOSTILE[0]) | dict.fromkeys(of_it, HOSTILE_DATABASE)
    wanted |= dict.fromkeys(("/", "/runs", f"/runs/{run['id']}", "/audit"), "")

    for width in (1280, 390):
        async with house.page("/servers") as page:
            await page.set_viewport_size({"width": width, "height": 800})
            for path, text in wanted.items():
                await page.goto(path)
                await expect(page.get_by_role("heading", level=1)).to_be_visible()
                if text:
                    await expect(page.get_by_role("main")).to_contain_text(text)
                assert await page.locator("img[src='x']").count() == 0, path
                wide = await page.evaluate("document.documentElement.scrollWidth")
                assert wide <= width, path
            assert await page.evaluate("window.hacked") is None


async def test_no_page_ran_into_an_error_or_its_own_policy(house: House) -> None:
    """The last of them: what all pages above complained of."""
    assert house.complaints == []
