"""Imports: the same text except for the epochs, and nothing at all of an invalid text."""

import re
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.journal.admin.journals import TIME, rows, say, small, text_of, written
from tests.journal.test_sqlite import NAME
from trio_chat.errors import CannotStart, JournalToolError
from trio_chat.journal.admin import importing
from trio_chat.journal.admin.check import check
from trio_chat.journal.admin.importing import ImportResult, import_journal
from trio_chat.journal.sqlite import open_sqlite
from trio_chat.journal.store import CommitResult, Draft
from trio_chat.wire.messages import MAX_AT

_TEXT = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=40) | st.sampled_from(
    ["a\nb", "\ttab", "\u202eright to left", '"quoted\\"', "\x85"[:0] + "…"]
)
_DRAFT = st.builds(
    say,
    _TEXT,
    st.sampled_from(["Lobby", "Attic", "Küche", "猫"]),
    by=st.sampled_from(["ada", "Bob", "Zoë"]),
    ref=st.sampled_from(["", "r1", "r2", "r3"]),
    topic=st.booleans(),
)


def without_epochs(text: bytes) -> bytes:
    return re.sub(rb'"epoch":"[^"]*"', b'"epoch":""', text)


def import_text(path: Path, text: bytes) -> ImportResult:
    return import_journal(path, BytesIO(text))


@settings(max_examples=25)
@given(st.lists(st.lists(_DRAFT, max_size=6), max_size=6), st.booleans(), st.integers(1, 3))
def test_an_imported_export_is_exported_as_the_same_text(
    batches: list[list[Draft]], refs: bool, batch_entries: int
) -> None:
    with TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        patch.setattr(importing, "BATCH_ENTRIES", batch_entries)
        first, second = Path(directory, "first.db"), Path(directory, "second.db")
        text = text_of(written(first, *batches), with_refs=refs)
        import_text(second, text)
        again = text_of(second, with_refs=refs)
        assert without_epochs(again) == without_epochs(text)
        assert check(second).findings == []
        epochs = re.compile(rb'"epoch":"([^"]*)"').findall
        assert not {*epochs(again)} & {*epochs(text)}, "clients cannot resume in it"


def test_numbers_stay_even_if_the_oldest_entries_are_not_exported(tmp_path: Path) -> None:
    text = text_of(small(tmp_path / "first.db"), rooms=["lobby"], since_ms=TIME + 1_000)
    assert import_text(tmp_path / NAME, text) == ImportResult(1, 2)
    assert rows(tmp_path / NAME, "SELECT first, head, at, topic FROM rooms") == [
        (3, 4, TIME + 2_000, "a topic")
    ]


def test_a_retry_after_an_import_with_refs_gets_the_old_number(tmp_path: Path) -> None:
    async def sent_again(path: Path) -> list[CommitResult]:
        store = await open_sqlite(path)
        await store.open("lobby", "Lobby")
        try:
            return await store.commit([say("bye", ref="r2"), say("other", ref="r1")], TIME)
        finally:
            await store.aclose()

    text = text_of(small(tmp_path / "first.db"), with_refs=True)
    import_text(tmp_path / NAME, text)
    assert trio.run(sent_again, tmp_path / NAME) == [CommitResult(4, None), CommitResult(0, None)]


def test_rooms_are_imported_into_a_journal_with_other_rooms(tmp_path: Path) -> None:
    text = text_of(small(tmp_path / "first.db"), rooms=["attic"])
    path = written(tmp_path / NAME, [say("hello")])
    before = rows(path, "SELECT epoch FROM rooms")
    import_text(path, text)
    assert rows(path, "SELECT key FROM rooms ORDER BY key") == [("attic",), ("lobby",)]
    assert rows(path, "SELECT epoch FROM rooms WHERE key = 'lobby'") == before, (
        "clients of the other rooms can still resume"
    )


def test_an_existing_room_refuses_the_whole_import(tmp_path: Path) -> None:
    text = text_of(small(tmp_path / "first.db"))
    path = written(tmp_path / NAME, [say("hello")])
    before = text_of(path)
    with pytest.raises(JournalToolError, match="line 4 has the room Lobby, which the journal already has"):
        import_text(path, text)
    assert text_of(path) == before, "the attic, which came first, was not imported either"


def replaced(old: str, new: str) -> Callable[[bytes], bytes]:
    def change(text: bytes) -> bytes:
        assert old.encode() in text
        return text.replace(old.encode(), new.encode(), 1)

    return change


def line_gone(number: int) -> Callable[[bytes], bytes]:
    def change(text: bytes) -> bytes:
        lines = text.splitlines(keepends=True)
        return b"".join(lines[: number - 1] + lines[number:])

    return change


def line_twice(number: int) -> Callable[[bytes], bytes]:
    def change(text: bytes) -> bytes:
        lines = text.splitlines(keepends=True)
        return b"".join(lines[:number] + lines[number - 1 :])

    return change


# The export has the attic in lines 2 to 4, the lobby in lines 5 to 10, and the end in line 11.
@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda text: b"", "line 1 is missing: the export was cut off"),
        (lambda text: b"Dear diary,\n", "line 1 is not a line of an export: JSON is malformed"),
        (lambda text: b"\xff\xfe\n", "line 1 is not a line of an export: "),
        (lambda text: b"[" * 100_000 + b"\n", "line 1 is not a line of an export: "),
        (
            lambda text: b'{"type":"end","more":' + b"[" * 100_000 + b"]" * 100_000 + b"}\n",
            "line 1 is not a line of an export: ",
        ),
        (lambda text: b" " * 2_000_000, "line 1 is longer than 1,048,576 bytes"),
        (line_gone(1), "line 1 is not the first line of a trio-chat export"),
        (replaced('"version":1', '"version":2'), "line 1 has export version 2, expected 1"),
        (lambda text: text[:-20], "line 11 is incomplete: the export was cut off"),
        (lambda text: text[: text.index(b"hello")], "line 6 is incomplete"),
        (line_gone(11), "line 11 is missing: the export was cut off"),
        (line_gone(3), "line 3 is not entry 1 of the room Attic"),
        (line_gone(2), "line 2 is neither a room line nor the end line"),
        (line_gone(7), "line 7 is not entry 2 of the room Lobby"),
        (line_twice(7), "line 8 is not entry 3 of the room Lobby"),
        (line_gone(9), "line 9 is not entry 4 of the room Lobby"),
        (line_twice(9), "line 10 is neither a room line nor the end line"),
        (line_twice(4), "line 5 repeats a ref"),
        (line_twice(11), "line 12 follows the end line"),
        (replaced('"rooms":2', '"rooms":3'), "line 11 counts 3 rooms and 5 entries, but 2 and 5 precede it"),
        (
            replaced('"entries":5', '"entries":6'),
            "line 11 counts 2 rooms and 6 entries, but 2 and 5 precede it",
        ),
        (replaced('"seq":3', '"seq":"3"'), "line 8 is not a line of an export: Expected `int`, got `str`"),
        (replaced('"first":1', '"first":0'), "line 2 has invalid numbers:"),
        (replaced('"head":1', '"head":9007199254740993'), "line 2 has invalid numbers:"),
        (
            replaced('"room":"Attic"', '"room":"an attic"'),
            "line 2 has an invalid room: a room must consist",
        ),
        (
            replaced('"room":"Attic"', '"room":"\uff21ttic"'),
            "line 2 has an invalid room: got",
        ),
        (
            replaced('"topic":"a topic"', '"topic":"\\u0007"'),
            "line 5 has an invalid room: a text",
        ),
        (
            replaced('"topic":"a topic"', '"topic":"other"'),
            "line 10 follows a topic change that differs",
        ),
        (
            replaced('"by":"bob"', '"by":"b o b"'),
            "line 8 has an invalid author or text: a name must consist",
        ),
        (
            replaced('"text":"hi"', '"text":"\\u001b[2J"'),
            "line 8 has an invalid author or text: a text must not have",
        ),
        (
            replaced('"text":"hi"', '"text":""'),
            "line 8 has an invalid author or text: a text must not",
        ),
        (
            replaced('"text":"hi"', '"text":"' + "x" * 40_000 + '"'),
            "line 8 has an invalid author or text",
        ),
        (replaced(f'"at":{TIME + 1_000}', f'"at":{TIME - 1}'), "line 8 is older than the entry before it"),
        (
            replaced(f'"at":{TIME + 2_000}', '"at":9007199254740993'),
            "line 9 is not a line of an export",
        ),
        (
            replaced(f'"at":{TIME + 2_000}', f'"at":{MAX_AT + 1}'),
            "line 9 has an invalid at: got 253402300800000, expected 0 to 253402300799999",
        ),
        (replaced(f'"at":{TIME + 2_000}', '"at":"now"'), "line 9 is not a line of an export"),
        (replaced(f'"at":{TIME + 2_000}', '"at":-1'), "line 9 is not a line of an export"),
        (replaced('"ada r2",4', '"ada r2",5'), "line 10 has a ref to an entry that is not in the room"),
        (replaced('"ada r2",4', '"",4'), "line 10 has a ref to an entry that is not in the room"),
    ],
)
def test_an_invalid_line_is_named_and_nothing_is_imported(
    change: Callable[[bytes], bytes], says: str, tmp_path: Path
) -> None:
    text = text_of(small(tmp_path / "first.db"), with_refs=True)
    assert len(text.splitlines()) == 11
    path = written(tmp_path / NAME, [say("hello", "Cellar")])
    before = text_of(path)
    says = re.escape("nothing was imported: " + says)
    with pytest.raises(JournalToolError, match=says) as raised:
        import_text(path, change(text))
    assert "\n" not in str(raised.value) and str(raised.value).isprintable()
    assert text_of(path) == before


def test_an_import_is_refused_beside_a_server(tmp_path: Path) -> None:
    text = text_of(small(tmp_path / "first.db"))

    async def beside_a_server() -> None:
        store = await open_sqlite(tmp_path / NAME)
        try:
            with pytest.raises(CannotStart, match="a server is using the journal"):
                import_text(tmp_path / NAME, text)
        finally:
            await store.aclose()

    trio.run(beside_a_server)


def test_an_invalid_export_creates_no_journal(tmp_path: Path) -> None:
    with pytest.raises(JournalToolError):
        import_text(tmp_path / NAME, b"Dear diary,\n")
    assert list(tmp_path.iterdir()) == []


def test_progress_is_reported_in_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "LINES_BETWEEN_REPORTS", 2)
    text = tmp_path / "text"
    text.write_bytes(text_of(small(tmp_path / "first.db")))
    size = text.stat().st_size
    told: list[tuple[int, int]] = []
    with text.open("rb") as source:
        import_journal(tmp_path / NAME, source, progress=lambda done, total: told.append((done, total)))
    assert told == sorted(told) and {total for _, total in told} == {size} and len(told) == 4


def test_the_last_time_of_the_calendar_is_imported(tmp_path: Path) -> None:
    path = tmp_path / NAME
    text = text_of(written(tmp_path / "first.db", [say("hi")])).replace(b"%d" % TIME, b"%d" % MAX_AT)
    assert import_text(path, text) == ImportResult(1, 1)
    assert text_of(path).count(b'"at":%d' % MAX_AT) == 1
    assert check(path).findings == []
