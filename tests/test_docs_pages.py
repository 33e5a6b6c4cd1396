"""The docs as they are built, in a real browser: what must fit fits, and code can be copied."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from dev.test_browser import BROWSER, DRIVER, Browser
from support import commands
from support.paths import DOCS

pytest.importorskip("furo", reason="the docs' theme is not installed: pip install '.[docs]'")
pytest.importorskip("sphinx_copybutton", reason="the docs' buttons are not installed")

from selenium.webdriver.common.keys import Keys

pytestmark = pytest.mark.skipif(
    not (BROWSER and DRIVER),
    reason="there is no browser: apt-get install chromium chromium-driver",
)

PAGES = ("pdk/phases", "pdk/request")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some pages of the docs as HTML."""
    source = tmp_path_factory.mktemp("docs")
    for name in (
        "conf.py",
        "_ext",
        "_static",
        "pdk/examples.txt",
        *(f"{page}.rst" for page in PAGES),
    ):
        target = source / name
        target.parent.mkdir(exist_ok=True)
        target.symlink_to(DOCS / name)
    toctree = "".join(f"   {page}\n" for page in PAGES)
    (source / "index.rst").write_text(f"Some\n====\n\n.. toctree::\n\n{toctree}")
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-b", "html", str(source), str(source / "html")],
        env=commands.environment(),
        capture_output=True,
        text=True,
        timeout=2 * commands.TIMEOUT,
    )
    assert done.returncode == 0, done.stderr
    return source / "html"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.driver.quit()


def test_the_tables_of_phases_fit(built: Path, browser: Browser) -> None:
    browser.screen(1280, 800)
    browser.driver.get((built / "pdk" / "phases.html").as_uri())
    wide = browser.script(
        "return [...document.querySelectorAll('.table-wrapper')]"
        ".map(e => [e.scrollWidth - e.clientWidth, e.innerText.slice(0, 300)]).filter(e => e[0] > 0)"
    )
    assert len(browser.all(".table-wrapper")) > 15
    assert wide == []
    assert browser.overflow() == 0


def test_code_can_be_copied_without_its_prompts(built: Path, browser: Browser) -> None:
    browser.driver.get((built / "pdk" / "request.html").as_uri())
    assert browser.text("h1").startswith("kong.request")
    assert "kong.request.get_header(name: str)" in browser.text("dt.sig")
    browser.until(lambda: len(browser.all("button.copybtn")) > 10)
    # As a reader does it: only a click of theirs may write to the clipboard.
    button = browser.all("button.copybtn")[0]
    browser.driver.execute_script("arguments[0].style.opacity = 1", button)
    button.click()
    browser.script("document.body.append(document.createElement('textarea'))")
    field = browser.all("textarea")[-1]
    field.send_keys(Keys.CONTROL, "v")
    assert field.get_attribute("value").strip() == "kong.request.get_scheme()"
