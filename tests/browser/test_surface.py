"""The talk as it is turned, copied, printed, and given pictures."""

from __future__ import annotations

import pytest
from playwright.sync_api import ViewportSize, expect

from tests.browser.conftest import Visit
from tests.browser.processes import Server, Terminal
from tests.browser.visitor import Visitor

pytestmark = pytest.mark.short

TURNS = 8
UPRIGHT: ViewportSize = {"width": 390, "height": 844}
LYING: ViewportSize = {"width": 844, "height": 390}
PHONE = {"viewport": UPRIGHT, "is_mobile": True, "has_touch": True}
_TO_THE_END = """
() => {
  const talk = document.querySelector("#talk");
  return talk.scrollHeight - talk.scrollTop - talk.clientHeight;
}
"""
_PDF_PAGE = b"/Type /Page\n"  # of the object of each page, and not of the root of all pages
_FRAMES = "async (frames) => { for (; frames; frames--) await new Promise(requestAnimationFrame); }"
_ROWS = "() => document.querySelectorAll('#rows [data-seq]').length"
_SELECTED = """
() => {
  getSelection().selectAllChildren(document.querySelector("#rows"));
  return getSelection().toString();
}
"""
_GIVE = """
([kind, types]) => {
  const data = new DataTransfer();
  for (const type of types) {
    if (type.startsWith("text/")) data.setData(type, "a text");
    else data.items.add(new File(["..."], "file", { type }));
  }
  const about = { bubbles: true, cancelable: true };
  const event = kind === "paste"
    ? new ClipboardEvent(kind, { ...about, clipboardData: data })
    : new DragEvent(kind, { ...about, dataTransfer: data });
  document.querySelector(kind === "paste" ? "#say" : "#talk").dispatchEvent(event);
  return event.defaultPrevented;
}
"""


def _long_texts(count: int, start: int = 0) -> list[str]:
    return [
        f"message {n}: " + "so long that it is broken, and differently when turned. " * 3
        for n in range(start, count)
    ]


def test_a_turned_phone_stays_at_the_newest_message(visit: Visit, server: Server) -> None:
    ada = visit(**PHONE)
    ada.come("ada")
    with Terminal(server, "bob", "lobby") as bob:
        bob.say(*_long_texts(60))
        expect(ada.get("#rows .text").last).to_contain_text("message 59:")
        for n in range(TURNS):
            bob.say(f"turn {n}: " + "a line that comes just then. " * 5)
            ada.page.set_viewport_size(LYING if n % 2 == 0 else UPRIGHT)
            expect(ada.get("#rows .text").last).to_contain_text(f"turn {n}:")
            ada.page.evaluate(_FRAMES, 5)
            assert ada.page.evaluate(_TO_THE_END) < 2, f"turn {n}"
            expect(ada.get("#rows [data-seq]").last).to_be_in_viewport()


def test_a_keyboard_that_comes_and_goes_leaves_the_newest_in_sight(visit: Visit, server: Server) -> None:
    ada = visit(**PHONE)
    ada.come("ada")
    with Terminal(server, "bob", "lobby") as bob:
        bob.say(*_long_texts(40))
        expect(ada.get("#rows .text").last).to_contain_text("message 39:")
        for n, height in enumerate(("420px", "844px", "300px", "844px")):
            bob.say(f"key {n}")
            ada.page.evaluate(
                "height => document.documentElement.style.setProperty('--height', height)", height
            )
            ada.page.evaluate("() => document.querySelector('#talk').dispatchEvent(new Event('scroll'))")
            expect(ada.get("#rows .text").last).to_contain_text(f"key {n}")
            ada.page.evaluate(_FRAMES, 5)
            assert ada.page.evaluate(_TO_THE_END) < 2, height


def test_a_turned_phone_keeps_the_place_of_somebody_who_reads_back(visit: Visit, server: Server) -> None:
    ada = visit(**PHONE)
    ada.come("ada")
    with Terminal(server, "bob", "lobby") as bob:
        bob.say(*_long_texts(60))
        expect(ada.get("#rows .text").last).to_contain_text("message 59:")
        ada.page.evaluate("() => document.querySelector('[data-seq=\"30\"]').scrollIntoView()")
        ada.page.evaluate(_FRAMES, 5)
        for shape in (LYING, UPRIGHT, LYING):
            ada.page.set_viewport_size(shape)
            ada.page.evaluate(_FRAMES, 5)
            expect(ada.get("#rows [data-seq='30']")).to_be_in_viewport()


def _copied(visitor: Visitor) -> str:
    return str(visitor.page.evaluate(_SELECTED))


def test_copied_text_is_what_is_in_sight(visit: Visit, server: Server) -> None:
    ada = visit()
    ada.come("ada")
    with Terminal(server, "zoe", "lobby") as zoe:
        zoe.say("one", "two", "/me waves", "/topic tea", "three")
        expect(ada.get("#rows .text").last).to_have_text("three")
    hidden = ada.get("#rows .line:not(.head) > time").first.text_content()
    assert hidden
    text = _copied(ada)
    lines = [line for line in text.splitlines() if line]
    assert "Z" not in text.replace("zoe", ""), "the letter that stands in for a face"
    assert "zoe: " not in text, "the name that only those who listen are told"
    assert lines[lines.index("one") + 1] == "two", "without the time, which is not in sight"
    assert f"waves{hidden}" not in text and f"zoe{hidden}" not in text, "words and times are kept apart"
    assert "three" in lines


def test_copying_puts_the_same_on_the_clipboard(visit: Visit, server: Server) -> None:
    ada = visit(permissions=["clipboard-read", "clipboard-write"])
    ada.come("ada")
    with Terminal(server, "zoe", "lobby") as zoe:
        zoe.say("one", "two")
        expect(ada.get("#rows .text").last).to_have_text("two")
    ada.page.evaluate(_SELECTED)
    ada.page.keyboard.press("Control+c")
    text = ada.page.evaluate("() => navigator.clipboard.readText()")
    lines = [line for line in text.splitlines() if line]
    assert "Z" not in lines and lines[lines.index("one") + 1] == "two"


def test_all_of_the_loaded_talk_is_printed(visit: Visit, server: Server) -> None:
    ada = visit()
    ada.come("ada")
    with Terminal(server, "bob", "lobby") as bob:
        bob.say(*_long_texts(500))
        expect(ada.get("#rows .text").last).to_contain_text("message 499:")
    assert ada.page.evaluate(_ROWS) < 450
    ada.page.evaluate(
        f"""() => {{
          window.printed = 0;
          addEventListener("beforeprint", () => {{ window.printed = ({_ROWS})(); }});
        }}"""
    )
    pages = ada.page.pdf().count(_PDF_PAGE)
    assert ada.page.evaluate("window.printed") == 500
    assert pages > 20, "one screen is one page"
    assert ada.page.evaluate(_ROWS) < 450
    assert ada.page.evaluate(_TO_THE_END) < 2
    ada.page.emulate_media(media="print")
    for hidden in ("#rooms", "#people", "#composer", "#leave"):
        expect(ada.get(hidden)).to_be_hidden()
    expect(ada.get("#title")).to_be_visible()


@pytest.mark.parametrize(
    ("types", "word"),
    [
        (["image/png"], "Pictures cannot be sent"),
        (["image/png", "image/jpeg", "text/html"], "Pictures cannot be sent"),
        (["application/pdf"], "Files cannot be sent"),
        (["image/png", "application/pdf"], "Files cannot be sent"),
        (["image/png", "text/plain"], ""),
        (["text/plain"], ""),
    ],
)
@pytest.mark.parametrize("kind", ["paste", "drop"])
def test_a_picture_that_is_pasted_or_dropped_gives_a_word(
    visit: Visit, kind: str, types: list[str], word: str
) -> None:
    ada = visit()
    ada.come("ada")
    assert ada.page.evaluate(_GIVE, [kind, types]) is (word != "")
    if word:
        expect(ada.get("#note")).to_contain_text(word)
        ada.write("a text then")
        expect(ada.get("#note")).to_be_empty()
    else:
        expect(ada.get("#note")).to_be_empty()


def test_a_dragged_file_is_held_back_from_the_browser(visit: Visit) -> None:
    ada = visit()
    ada.come("ada")
    assert ada.page.evaluate(_GIVE, ["dragover", ["image/png"]]) is True
    assert ada.page.evaluate(_GIVE, ["dragover", ["text/plain"]]) is False
