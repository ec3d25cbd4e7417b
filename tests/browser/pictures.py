"""`python -m tests.browser.pictures`: the pictures of the page in docs/pictures, taken from the page itself.

What was said is imported, so that it is said in the course of a morning; who is there, what is unread and
who is typing is real. The page's clock stands still in that morning. It is shown in the system's own face,
and a machine without a desktop has none worth showing: Inter stands in for it (Debian's fonts-inter).
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from playwright.sync_api import Browser, expect

from tests.browser.conftest import launched
from tests.browser.processes import Server, Terminal
from tests.browser.visitor import Visitor, Watch

__all__ = ["take_all"]

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
BYTES_MAX = 200_000
TODAY = datetime(2026, 11, 20, tzinfo=UTC)
NOW = TODAY.replace(hour=10, minute=12)

WIDE = {"viewport": {"width": 1160, "height": 760}, "device_scale_factor": 1.25}
SHAPES: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light", **WIDE},
    "dark": {"color_scheme": "dark", **WIDE},
    "phone": {
        "color_scheme": "light",
        "viewport": {"width": 390, "height": 844},
        "device_scale_factor": 1.5,
        "is_mobile": True,
        "has_touch": True,
    },
}

_INTER = """
  <match target="pattern">
    <test name="family"><string>{}</string></test>
    <edit name="family" mode="prepend" binding="strong"><string>Inter</string></edit>
  </match>"""
FONTS = f"""<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <include>/etc/fonts/fonts.conf</include>{"".join(map(_INTER.format, ("sans", "sans-serif", "system-ui")))}
</fontconfig>
"""

SAID = {
    "garden": """
        09:10 bob: Good morning! Nothing froze last night.
        09:13 bob: Four degrees in the greenhouse, and for once its door was shut.
        09:20 jonas: That was me. You are welcome.
        09:20 jonas * bows
        09:41 Ελένη: I have the plans for the new beds: https://example.org/beds. The second page is the one.
        09:44 ada: They look good. Do we have wood for both?
        09:46 Ελένη: For one and a half …
        09:47 Ελένη: My neighbour gives away pallets, though. I could fetch them with the van at four,
          if somebody helps me to carry.
        09:52 jonas: I do. Four is fine.
        09:55 Ελένη # Two new beds on Saturday at ten. Bring gloves!
        10:05 mira: Then the seeds go in on Sunday. @ada, is the long spade still at your place?
        10:08 ada: On my balcony, next to the bicycle. I bring both.
    """,
    "kitchen": """
        08:30 bob: There is soup from yesterday.
    """,
    "lobby": """
        08:02 jonas: Rain until noon, they say.
    """,
}
UNREAD = ("The soup is gone.", "I can make another one.")


def _entries(room: str, script: str) -> list[dict[str, object]]:
    """The lines of an export from what stands above: `:` says, `*` does, `#` sets the topic."""
    made: list[dict[str, object]] = []
    for line in script.replace("\n          ", " ").strip().splitlines():
        time, by, text = line.strip().split(" ", 2)
        sign = ""
        if not by.endswith(":"):
            sign, text = text.split(" ", 1)
        hour, minute = map(int, time.split(":"))
        made.append(
            {
                "type": "retitled" if sign == "#" else "said",
                "room": room,
                "seq": len(made) + 1,
                "at": int(TODAY.replace(hour=hour, minute=minute).timestamp() * 1000),
                "by": by.rstrip(":"),
                "text": text,
                **({"action": True} if sign == "*" else {}),
            }
        )
    topics = [entry["text"] for entry in made if entry["type"] == "retitled"]
    first = {"type": "room", "room": room, "epoch": "abcdefghijkl", "first": 1, "head": len(made)}
    return [{**first, "topic": topics[-1] if topics else ""}, *made]


def _visitor(browser: Browser, server: Server, **shape: Any) -> Visitor:
    context = browser.new_context(locale="en-GB", timezone_id="UTC", **shape)
    visitor = Visitor(context.new_page(), Watch(context, f"127.0.0.1:{server.port}"), server.address)
    visitor.page.clock.set_fixed_time(NOW)
    return visitor


def _take(browser: Browser, server: Server, shape: dict[str, Any], path: Path) -> None:
    ada, mira = _visitor(browser, server, **shape), _visitor(browser, server)
    with ExitStack() as others:
        for name in ("bob", "jonas", "Ελένη"):
            others.enter_context(Terminal(server, name, "garden"))
        mira.come("mira", "garden")
        ada.come("ada", "lobby")
        for room in ("kitchen", "garden"):
            ada.say(f"/join {room}")
            expect(ada.get("#title")).to_have_text(f"#{room}")
        ada.places("lobby", "kitchen", "garden")
        expect(ada.get("#people-list .name")).to_have_count(5)
        with Terminal(server, "paul", "kitchen") as paul:
            paul.say(*UNREAD, "/msg ada Do you have a minute?")
            expect(ada.get("#room-list .count")).to_be_attached()
            expect(ada.get("#thread-list .count")).to_be_attached()
        mira.get("#say").press_sequentially("It could ")
        expect(ada.get("#typing")).to_have_text("mira is typing…")
        ada.page.mouse.move(0, 0)
        ada.page.screenshot(path=path, animations="disabled", caret="hide")
    ada.page.context.close()
    mira.page.context.close()


def take_all(away: Path) -> None:
    """Take all of them anew, into a folder."""
    away.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as fonts, ExitStack() as stack:
        fonts.write(FONTS)
        fonts.flush()
        browser = stack.enter_context(launched(FONTCONFIG_FILE=fonts.name))
        for name, shape in SHAPES.items():
            with tempfile.TemporaryDirectory() as directory, ExitStack() as ending:
                server = Server(Path(directory))
                ending.callback(server.stop)
                server.take([line for room, script in SAID.items() for line in _entries(room, script)])
                server.start()
                path = away / f"{name}.png"
                _take(browser, server, shape, path)
            size = path.stat().st_size
            assert size < BYTES_MAX, f"{path} has {size:,} bytes"
            click.echo(f"{path}: {size:,} bytes")


if __name__ == "__main__":
    take_all(PICTURES)
