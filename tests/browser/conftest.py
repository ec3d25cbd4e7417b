"""A real browser, a real server: `nox -s browser` asks for these, and nothing else does.

Chromium is whichever the machine has. It runs without a network but the loopback, and what a page must never
do fails the test in which it does it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserType, expect, sync_playwright

from tests.browser.processes import Server
from tests.browser.visitor import Visitor, Watch

Visit = Callable[..., Visitor]

PATIENCE_MS = 15_000  # for what comes within a moment, on a machine that does much else


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "short: of the short form, which every change is held to")


def launch(browser_type: BrowserType, *arguments: str, **environment: str) -> Browser:
    """Start this machine's Chromium with these arguments, and this added to its environment."""
    found = (shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome"))
    path = next((each for each in found if each), None)
    if path is None:
        pytest.fail("there is no chromium on this machine", pytrace=False)
    usual = ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
    if os.geteuid() == 0:
        usual.append("--no-sandbox")  # it refuses to be root with one
    return browser_type.launch(
        executable_path=path, args=[*usual, *arguments], env={**os.environ, **environment}
    )


@contextmanager
def launched(**environment: str) -> Iterator[Browser]:
    """This machine's Chromium, with this added to its environment."""
    with sync_playwright() as playwright:
        with launch(playwright.chromium, **environment) as browser:
            yield browser


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=PATIENCE_MS)
    with launched() as browser:
        yield browser


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Not started yet, for those who want to fill its journal first; `visit` starts it."""
    server = Server(tmp_path)
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def visit(browser: Browser, server: Server) -> Iterator[Visit]:
    """Makes somebody with a browser of their own; takes what `Browser.new_context` does."""
    if not server.port:
        server.start()
    watches: list[Watch] = []
    contexts = []

    def visit(**how: Any) -> Visitor:
        context = browser.new_context(**{"locale": "en-GB", "timezone_id": "UTC", **how})
        contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        watch = Watch(context, f"127.0.0.1:{server.port}")
        watches.append(watch)
        return Visitor(context.new_page(), watch, server.address)

    yield visit
    for context in contexts:
        context.close()
    faults = [fault for watch in watches for fault in watch.faults()]
    assert not faults, "\n".join(faults)
