"""The modules of the page that know no document, each checked by itself in the browser that is to run it.

A file in `pure` is a module like the page's own: it imports what it checks, and every check has a name.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser, Page, Route

from tests.browser.conftest import PATIENCE_MS
from tests.browser.processes import Server
from tests.browser.visitor import Watch

pytestmark = pytest.mark.short

PURE = Path(__file__).parent / "pure"
VECTORS = Path(__file__).parents[2] / "docs" / "vectors.json"
FILES = sorted(path.name for path in PURE.glob("*.js") if path.name != "checks.js")
BROKEN = """
import { chances, check, equal } from "./checks.js";

check("holds", () => equal([1], [1]));
check("two are not one", () => equal({ n: [1] }, { n: [2] }));
check("chance is against it", () => chances(9, (chance) => equal(chance.below(1), 1)));
check("nobody waits for it", async () => {});
"""
_RUN = """
async (file) => {
  await import(`/pure/${file}`);
  return (await import("/pure/checks.js")).results;
}
"""


class Result(NamedTuple):
    """What came of one check; `fault` is empty where it holds."""

    name: str
    fault: str


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all of them: they want no more of it than its files."""
    server = Server(tmp_path_factory.mktemp("pure"))
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def page(browser: Browser, running: Server) -> Iterator[Page]:
    """The page at its door, with `pure` beside its own modules."""
    context = browser.new_context(locale="en-GB", timezone_id="UTC")
    context.set_default_timeout(PATIENCE_MS)
    watch = Watch(context, f"127.0.0.1:{running.port}")
    context.route("**/pure/*.js", _ours)
    context.route("**/pure/vectors.json", lambda route: route.fulfill(path=VECTORS))
    page = context.new_page()
    page.goto(running.address)
    yield page
    context.close()
    assert not watch.faults(), "\n".join(watch.faults())


def _ours(route: Route) -> None:
    path = PURE / route.request.url.rpartition("/")[2]
    body = path.read_text() if path.exists() else BROKEN
    route.fulfill(body=body, content_type="text/javascript")


def results(page: Page, file: str) -> list[Result]:
    """Run the checks of one file."""
    return [Result(**each) for each in page.evaluate(_RUN, file)]


@pytest.mark.parametrize("file", FILES)
def test_a_pure_module(page: Page, file: str) -> None:
    found = results(page, file)
    assert found, "it checks nothing"
    faults = [f"{name}: {fault}" for name, fault in found if fault]
    assert not faults, "\n".join(faults)


def test_a_check_that_does_not_hold_says_so(page: Page) -> None:
    """By its name, with both values, and with the seed where chance was at work."""
    holds, one, chance, promise = results(page, "broken.js")
    assert holds == Result("holds", "")
    assert one.name == "two are not one"
    assert '{"n":[1]}' in one.fault and '{"n":[2]}' in one.fault
    assert "with seed 1: " in chance.fault
    assert "a promise" in promise.fault
