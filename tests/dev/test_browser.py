"""The page of the development gateway in a real browser.

With ``PLUGINSERVER_SCREENSHOTS`` set to a directory, the pictures for the docs are put there.
"""

from __future__ import annotations

import base64
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.devgateway import HELLO, TIMEOUT, Dev, dev, wait_at
from support.paths import EXAMPLES

from pluginserver.dev import settings

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")

from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

BROWSER = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = os.environ.get("CHROMEDRIVER") or shutil.which("chromedriver")
PICTURES = os.environ.get("PLUGINSERVER_SCREENSHOTS")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-sync",
    "--hide-scrollbars",
)

pytestmark = pytest.mark.skipif(
    not (BROWSER and DRIVER),
    reason="there is no browser: apt-get install chromium chromium-driver",
)


class Browser:
    """A browser that looks at the page."""

    def __init__(self, profile: Path) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = BROWSER
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver: Any = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
        self.driver.set_script_timeout(TIMEOUT)

    def look(self, gateway: Dev, path: str = "") -> None:
        """Open a page, and wait until it listens for changes."""
        self.driver.get(f"{gateway.gateway.url}/__pluginserver{path}")
        self.until(lambda: self.text("[data-live='on']") == "Live")

    def until(self, true: Any) -> None:
        WebDriverWait(self.driver, TIMEOUT).until(lambda _: true())

    def screen(self, width: int, height: int, dark: bool = False) -> None:
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1.5, "mobile": width < 600},
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})

    def all(self, selector: str) -> list[Any]:
        found: list[Any] = self.driver.find_elements(By.CSS_SELECTOR, selector)
        return found

    def text(self, selector: str) -> str:
        """The text that is seen of all such elements."""
        return "\n".join(
            self.script(
                "return [...document.querySelectorAll(arguments[0])].map(e => e.innerText)",
                selector,
            )
        )

    def script(self, code: str, *arguments: Any) -> Any:
        return self.driver.execute_script(code, *arguments)

    def click(self, selector: str) -> None:
        """Click the first such element; at once, for what is shown may be replaced."""
        self.script("document.querySelector(arguments[0]).click()", selector)

    def complaints(self) -> list[str]:
        """What the browser wrote to its console."""
        return [line["message"] for line in self.driver.get_log("browser")]

    def overflow(self) -> int:
        """By how many pixels the page is wider than the window."""
        wide: int = self.script("return document.documentElement.scrollWidth - innerWidth")
        return wide

    def picture(self, name: str) -> None:
        """Take a picture for the docs, if they are wanted."""
        data = base64.b64decode(
            self.driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})["data"]
        )
        assert data.startswith(b"\x89PNG")
        if PICTURES:
            (Path(PICTURES) / f"{name}.png").write_bytes(data)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.driver.quit()


@pytest.fixture
def browser(chromium: Browser) -> Iterator[Browser]:
    """The browser with a window of its usual size; at the end it must have nothing to complain of."""
    chromium.screen(1000, 700)
    chromium.complaints()
    yield chromium
    # A page whose gateway has ended asks for its events again.
    assert [one for one in chromium.complaints() if "/__pluginserver/events" not in one] == []
    chromium.driver.get("about:blank")


@pytest.fixture
def plugins(tmp_path: Path) -> Path:
    directory = tmp_path / "plugins"
    directory.mkdir()
    return directory


def test_a_request_runs_again_by_a_button(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "hello.py").write_text(HELLO)
    with dev(tmp_path) as gateway:
        gateway.get("/thing")
        (first,) = gateway.gateway.history.entries()
        browser.look(gateway, f"/requests/{first.id}")
        (button,) = browser.all("[data-again]")
        assert button.is_displayed()
        button.click()
        browser.until(lambda: gateway.gateway.history.count == 2)
        newer = gateway.gateway.history.entries()[0].id
        browser.until(lambda: browser.driver.current_url.endswith(f"/requests/{newer}"))
        browser.until(lambda: browser.text(".path") == "/thing")


@pytest.fixture
def examples() -> Iterator[Dev]:
    file = EXAMPLES / "dev.toml"
    given = settings.read(file)
    given.plugins["audit-log"]["path"] = os.devnull
    with dev(EXAMPLES, settings=given) as gateway:
        yield gateway


def test_the_list_follows_the_requests(browser: Browser, plugins: Path) -> None:
    (plugins / "hello.py").write_text(HELLO)
    with dev(plugins) as gateway:
        browser.look(gateway)
        assert "No request came yet" in browser.text("main")
        gateway.get("/first")
        browser.until(lambda: "/first" in browser.text("tbody"))
        gateway.request("POST", "/second", b"x")
        browser.until(lambda: "/second" in browser.text("tbody"))
        browser.until(lambda: not browser.all("tbody tr.open"))
        rows = [row.text.split() for row in browser.all("tbody tr")]
        assert [row[1:5] for row in rows] == [
            ["POST", "/second", "service", "200"],
            ["GET", "/first", "service", "200"],
        ]
        assert [row[-1] for row in rows] == ["2", "2"]
        assert browser.text("[data-count]") == "2"
        assert "No request came yet" not in browser.text("main")


def test_the_list_follows_the_plugins(browser: Browser, plugins: Path) -> None:
    file = plugins / "hello.py"
    with dev(plugins) as gateway:
        browser.look(gateway)
        assert "No plugins are loaded" in browser.text("[data-plugins]")
        file.write_text(HELLO)
        browser.until(lambda: "hello 1.0.0" in browser.text("[data-plugins]"))
        file.write_text(HELLO + "1 / 0\n")
        browser.until(lambda: "ZeroDivisionError" in browser.text("[data-plugins] .trouble"))
        file.write_text(HELLO.replace("1.0.0", "2.0.0"))
        browser.until(lambda: "hello 2.0.0" in browser.text("[data-plugins]"))
        assert browser.all("[data-plugins] .trouble") == []


def test_a_timeline_is_opened_with_the_keyboard(browser: Browser, plugins: Path) -> None:
    (plugins / "hello.py").write_text(HELLO)
    with dev(plugins) as gateway:
        gateway.get("/older")
        gateway.get("/newer")
        browser.look(gateway)
        focused = ""
        for _ in range(20):
            browser.driver.switch_to.active_element.send_keys(Keys.TAB)
            focused = browser.script("return document.activeElement.innerText")
            if "/newer" in focused:
                break
        assert "/newer" in focused
        browser.driver.switch_to.active_element.send_keys(Keys.ENTER)
        browser.until(lambda: browser.text("h1") == "GET /newer")
        assert "set_header('x-hello', 'hello')" in browser.text(".timeline")
        browser.all("#older")[0].send_keys(Keys.ENTER)
        browser.until(lambda: browser.text("h1") == "GET /older")
        browser.all("#newer")[0].send_keys(Keys.ENTER)
        browser.until(lambda: browser.text("h1") == "GET /newer")


def test_the_focus_stays_when_the_list_changes(browser: Browser, plugins: Path) -> None:
    with dev(plugins) as gateway:
        gateway.get("/first")
        browser.look(gateway)
        browser.script("document.querySelector('tbody a').focus()")
        gateway.get("/second")
        browser.until(lambda: "/second" in browser.text("tbody"))
        assert "/first" in browser.script("return document.activeElement.innerText")


def test_the_latest_request_is_shown_when_it_comes(browser: Browser, plugins: Path) -> None:
    with dev(plugins) as gateway:
        browser.look(gateway, "/latest")
        assert "No request yet" in browser.text("main")
        for path in ("/one", "/two"):
            gateway.request("POST", path, b"the body")
            browser.until(lambda path=path: browser.text("h1") == f"POST {path}")
        browser.click("section.comparison summary")
        assert browser.text("section.comparison [open] pre") == "the body"
        gateway.request("POST", "/three", b"the body")
        browser.until(lambda: browser.text("h1") == "POST /three")
        browser.until(lambda: browser.text("section.comparison [open] pre") == "the body")


def test_what_was_open_is_open_again_when_a_request_has_its_answer(
    browser: Browser, plugins: Path, tmp_path: Path
) -> None:
    """While it is under way the page has another part in that place."""
    gate = tmp_path / "gate"
    gate.touch()
    wait_at(plugins, gate, phase="access")
    with dev(plugins) as gateway:
        gateway.request("POST", "/one", b"the body")
        browser.look(gateway, "/latest")
        browser.click("section.comparison summary")
        gate.unlink()
        slow = threading.Thread(target=gateway.request, args=("POST", "/two", b"the body"))
        slow.start()
        browser.until(lambda: browser.text("h1") == "POST /two")
        gate.touch()
        slow.join()
        browser.until(lambda: browser.text("section.comparison [open] pre") == "the body")


def test_a_request_under_way_is_completed(browser: Browser, plugins: Path, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    wait_at(plugins, gate, "the end")
    with dev(plugins) as gateway:
        gateway.get("/slow")
        browser.look(gateway)
        browser.until(lambda: len(browser.all("tbody tr.open")) == 1)
        browser.click("tbody a")
        browser.until(lambda: "Under way" in browser.text("main"))
        gate.touch()
        browser.until(lambda: "the end" in browser.text(".timeline"))
        assert "Under way" not in browser.text("main")


def test_nothing_from_outside_is_run(browser: Browser, plugins: Path) -> None:
    nasty = "<img/src=x/onerror=window.hit=1><script>window.hit=1</script>"
    (plugins / "hello.py").write_text(HELLO.replace('"hello"', repr(nasty)))
    with dev(plugins) as gateway:
        browser.look(gateway)
        gateway.request("POST", f"/{nasty}", nasty.encode(), x_in=nasty)
        browser.until(lambda: nasty in browser.text("tbody"))
        browser.click("tbody a")
        browser.until(lambda: nasty in browser.text("h1"))
        assert nasty in browser.text(".changes")
        assert browser.all("main script, main img") == []
        assert browser.script("return window.hit") is None
        gateway.request("POST", f"/{nasty}", nasty.encode() * 2, x_in=f"{nasty}2")
        for path in (f"/requests/{gateway.gateway.history.entries()[0].id}/compare", "/plugins"):
            browser.look(gateway, path)
            assert nasty in browser.text("main")
            assert browser.all("main script, main img") == []
            assert browser.script("return window.hit") is None


def test_a_page_finds_the_gateway_again(browser: Browser, plugins: Path) -> None:
    with dev(plugins) as gateway:
        port = gateway.port
        gateway.get("/before")
        browser.look(gateway)
        assert browser.text("[data-count]") == "1"
    browser.until(lambda: browser.text("[data-live='off']") == "Reconnecting")
    with dev(plugins, port=port) as gateway:
        browser.until(lambda: browser.text("[data-count]") == "0")
        gateway.get("/after")
        browser.until(lambda: "/after" in browser.text("tbody"))
        browser.complaints()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_it_fits_a_phone(browser: Browser, plugins: Path, dark: bool) -> None:
    (plugins / "hello.py").write_text(HELLO.replace('"hello"', repr("long" * 500)))
    (plugins / "broken.py").write_text(HELLO + "raise ValueError('y' * 300)\n")
    browser.screen(360, 740, dark)
    with dev(plugins) as gateway:
        gateway.request("POST", "/" + "path" * 100, bytes(range(256)), x_long="value" * 200)
        gateway.request("POST", "/text", b"word" * 1000)
        for path in ("", "/latest"):
            browser.look(gateway, path)
            assert browser.overflow() == 0
        browser.script("document.querySelectorAll('details').forEach(one => one.open = true)")
        assert browser.overflow() == 0
        browser.click("#older")
        browser.until(lambda: "path" in browser.text("h1"))
        browser.script("document.querySelectorAll('details').forEach(one => one.open = true)")
        assert browser.overflow() == 0
        ground = browser.script("return getComputedStyle(document.body).backgroundColor")
        assert (max(map(int, ground[4:-1].split(","))) < 60) is dark


def test_everything_has_a_name(browser: Browser, plugins: Path) -> None:
    (plugins / "hello.py").write_text(HELLO)
    with dev(plugins) as gateway:
        gateway.request("POST", "/x", b"body")
        for path in ("", "/latest"):
            browser.look(gateway, path)
            tree = browser.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
            roles = [node["role"]["value"] for node in tree if not node["ignored"]]
            named = {"link", "heading", "table", "region", "RootWebArea", "navigation", "image"}
            nameless = [
                node
                for node in tree
                if not node["ignored"]
                and node["role"]["value"] in named
                and not node.get("name", {}).get("value")
            ]
            assert nameless == []
            assert roles.count("main") == roles.count("banner") == 1
            levels = browser.script(
                "return [...document.querySelectorAll('h1,h2,h3')].map(e => +e.tagName[1])"
            )
            assert levels.count(1) == 1
            assert max(levels) < 4


DISCOUNT = """
import attrs
from pluginserver import Kong

version = "1.0.0"
priority = 100

@attrs.define
class Plugin:
    percent: int = 10

    def access(self, kong: Kong) -> None:
        order = kong.request.get_body()
        kong.service.request.set_header("x-discount", str(self.discount(order["items"])))

    def discount(self, items: list[int]) -> int:
        return self.percent * sum(items) // len(items)
"""


def test_pictures_for_the_docs(browser: Browser, examples: Dev) -> None:
    examples.get("/orders?page=2")
    examples.get("/orders", x_api_key="wrong")
    for number in range(9):
        examples.get(f"/customers/{number}", x_api_key="demo")
    examples.request(
        "POST",
        "/orders",
        b'{"item": 17, "count": 2}',
        x_api_key="demo",
        content_type="application/json",
    )
    examples.get("/orders/1", x_api_key="demo")
    examples.screen.wait_for("get_source", 13)
    browser.look(examples)
    assert len(browser.all("tbody tr")) == 13
    browser.picture("dev-list")
    browser.click("tbody tr:nth-child(2) a")
    browser.until(lambda: "POST /orders" in browser.text("h1"))
    browser.screen(1000, 1300)
    browser.picture("dev-timeline")
    browser.screen(360, 740, dark=True)
    browser.picture("dev-phone")
    browser.screen(1000, 700)
    browser.look(examples, "/plugins")
    browser.picture("dev-plugins")


def test_pictures_of_an_error_and_of_a_comparison(browser: Browser) -> None:
    with tempfile.TemporaryDirectory(prefix="plugins-") as plugins:
        (Path(plugins) / "discount.py").write_text(DISCOUNT)
        _take_pictures(browser, Path(plugins))


def _take_pictures(browser: Browser, plugins: Path) -> None:
    with dev(plugins) as gateway:
        for body in (b'{"items": [3, 4]}', b'{"items": [3, 4, 9]}', b'{"items": []}'):
            gateway.request("POST", "/orders", body, content_type="application/json")
        third, second, _ = gateway.gateway.history.entries()
        browser.look(gateway, f"/requests/{third.id}")
        assert "ZeroDivisionError" in browser.text(".raised")
        browser.picture("dev-error")
        browser.look(gateway, f"/requests/{second.id}/compare")
        browser.screen(1000, 900)
        browser.picture("dev-compare")


BOOM = """
version = "1.0.0"
priority = 50
class Plugin:
    def access(self, kong):
        if kong.request.get_path() == "/boom":
            raise ValueError("first line\\n" + "very long " * 40)
        if kong.request.get_path() == "/ours":
            kong.response.set_header("x-none", None)
        kong.response.set_header("x-time", kong.request.get_query_arg("at") or "none")
"""


def test_a_traceback_scrolls_and_its_exception_is_in_sight(
    browser: Browser, plugins: Path
) -> None:
    (plugins / "boom.py").write_text(BOOM.replace("very long", "very long" + " " * 200))
    with dev(plugins) as gateway:
        gateway.get("/boom")
        for width in (320, 768, 1440):
            browser.screen(width, 700)
            browser.look(gateway, "/latest")
            assert browser.overflow() == 0
            wide, inside = browser.script(
                "const box = document.querySelector('.traceback');"
                "return [box.scrollWidth, box.clientWidth]"
            )
            assert wide >= inside
            assert browser.script(
                "const pre = document.querySelector('.traceback pre');"
                "return getComputedStyle(pre).whiteSpace"
            ) in ("pre", "pre nowrap")
        bottom = browser.script(
            "return document.querySelector('.raised').getBoundingClientRect().top"
        )
        assert bottom < 700
        assert wide > 0
        assert browser.text("main").count("ValueError: first line") == 1


def test_frames_of_the_server_are_folded(browser: Browser, plugins: Path) -> None:
    (plugins / "boom.py").write_text(BOOM)
    with dev(plugins) as gateway:
        gateway.get("/ours")
        browser.look(gateway, "/latest")
        assert "boom.py" in browser.text(".traceback")
        assert "pdk/headers.py" not in browser.text(".traceback pre")
        assert "kong.log.err" not in browser.text(".timeline .block > ol")
        browser.click(".traceback summary")
        assert "pdk/headers.py" in browser.text(".traceback details[open] pre")
        browser.click(".told summary")
        assert "kong.log.err" in browser.text(".told[open]").replace("kong.log.\n", "kong.log.")


def test_the_list_is_filtered(browser: Browser, plugins: Path) -> None:
    (plugins / "hello.py").write_text(HELLO)
    (plugins / "boom.py").write_text(BOOM)

    def shown() -> list[str]:
        return browser.text("tbody tr:not([hidden]) .path").split()

    def choose(name: str, value: str) -> None:
        browser.script(
            "const field = document.querySelector(`[name=${arguments[0]}]`);"
            "field.value = arguments[1];"
            "field.dispatchEvent(new Event('input', {bubbles: true}))",
            name,
            value,
        )

    with dev(plugins) as gateway:
        for path in ("/one", "/boom", "/two"):
            gateway.get(path)
        gateway.screen.wait_for("/two 200")
        browser.look(gateway)
        browser.until(lambda: not browser.all("tbody tr.open"))
        assert shown() == ["/two", "/boom", "/one"]
        choose("status", "5")
        assert shown() == ["/boom"]
        assert browser.text("[data-shown]") == "1 of 3"
        choose("status", "bugs")
        assert shown() == ["/boom"]
        gateway.get("/three")
        browser.until(lambda: browser.text("[data-shown]") == "1 of 4")
        browser.driver.refresh()
        browser.until(lambda: browser.text("[data-shown]") == "1 of 4")
        choose("status", "")
        choose("text", "/T")
        assert shown() == ["/three", "/two"]
        choose("plugin", "hello")
        assert shown() == ["/three", "/two"]
        choose("text", "nothing such")
        assert browser.text("[data-none]") == "No request matches."


def test_the_keys_of_the_keyboard(browser: Browser, plugins: Path) -> None:
    def press(key: str) -> None:
        webdriver.ActionChains(browser.driver).send_keys(key).perform()

    with dev(plugins) as gateway:
        gateway.get("/older")
        gateway.get("/newer")
        browser.look(gateway)
        press("j")
        press("j")
        assert "/older" in browser.script("return document.activeElement.innerText")
        press("k")
        assert "/newer" in browser.script("return document.activeElement.innerText")
        press(Keys.ENTER)
        browser.until(lambda: browser.text("h1") == "GET /newer")
        browser.until(lambda: browser.text("[data-live='on']") == "Live")
        press("j")
        browser.until(lambda: browser.text("h1") == "GET /older")
        browser.until(lambda: browser.text("[data-live='on']") == "Live")
        press("k")
        browser.until(lambda: browser.text("h1") == "GET /newer")
        browser.until(lambda: browser.text("[data-live='on']") == "Live")
        press("?")
        assert "filter the requests" in browser.text("dialog[open]")
        press("?")
        assert browser.all("dialog[open]") == []
        press("/")
        browser.until(lambda: browser.script("return document.activeElement.name") == "text")
        press("jk?")
        assert browser.script("return document.activeElement.value") == "jk?"


def test_a_request_is_copied_as_a_command(browser: Browser, plugins: Path) -> None:
    with dev(plugins) as gateway:
        gateway.request("POST", "/x?y=1", b"it's", content_type="text/plain")
        browser.driver.execute_cdp_cmd(
            "Browser.grantPermissions",
            {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]},
        )
        browser.look(gateway, "/latest")
        browser.click("[data-copy]")
        browser.until(lambda: browser.text("[data-copy]") == "Copied")
        copied = browser.driver.execute_async_script(
            "navigator.clipboard.readText().then(arguments[0])"
        )
        browser.script("document.querySelector('#curl').open = true")
        assert copied == browser.text("#curl-text")
        assert copied.startswith("curl -i")


def test_two_runs_of_a_request_are_compared(browser: Browser, plugins: Path) -> None:
    (plugins / "boom.py").write_text(BOOM)
    with dev(plugins) as gateway:
        gateway.get("/x", x_in="1")
        browser.look(gateway, "/latest")
        assert browser.all("#compare") == []
        gateway.get("/x", x_in="2")
        browser.until(lambda: browser.all("#compare"))
        browser.click("#compare")
        browser.until(lambda: browser.text("h2"))
        assert "Request from the client" in browser.text("h2")
        assert "x-in: 1" in browser.text(".diff .removed")
        assert "x-in: 2" in browser.text(".diff .added")
        assert "x-time" not in browser.text(".diff .added, .diff .removed")
        assert browser.overflow() == 0


def test_the_plugins_page_follows_the_plugins(browser: Browser, plugins: Path) -> None:
    (plugins / "hello.py").write_text(HELLO)
    with dev(plugins) as gateway:
        browser.look(gateway, "/plugins")
        assert browser.text("tbody").split() == ["message", "string", "hello", "default"]
        (plugins / "hello.py").write_text(HELLO.replace('"hello"', '"bye"'))
        browser.until(lambda: browser.text("tbody").split()[2:3] == ["bye"])


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [320, 768, 1440])
def test_every_page_fits(browser: Browser, examples: Dev, width: int, dark: bool) -> None:
    for _ in range(2):
        examples.request("POST", "/orders", b'{"item": 17}', x_api_key="demo")
    examples.get("/orders")
    latest = examples.gateway.history.entries()[1].id
    browser.screen(width, 800, dark)
    for path in ("", "/plugins", "/latest", f"/requests/{latest}", f"/requests/{latest}/compare"):
        browser.look(examples, path)
        browser.script("document.querySelectorAll('details').forEach(one => one.open = true)")
        assert browser.overflow() == 0, path
        clipped = browser.script(
            "return [...document.querySelectorAll('main p, main th, main button, main .status')]"
            ".filter(e => getComputedStyle(e).overflowX === 'visible' && !e.closest('.unseen')"
            " && e.getClientRects().length && e.getBoundingClientRect().right > innerWidth + 1"
            " && !e.closest('.traceback')).map(e => e.textContent)"
        )
        assert clipped == [], path
