"""The server id in exports: only a complete export has it."""

import json
from io import BytesIO
from pathlib import Path

import pytest

from tests.journal.admin.journals import TIME, small, text_of, written
from tests.journal.test_sqlite import NAME
from trio_chat.errors import JournalToolError
from trio_chat.journal.admin.format import format_info
from trio_chat.journal.admin.importing import import_journal
from trio_chat.journal.admin.info import info


def head_of(text: bytes) -> dict[str, object]:
    """Return the first line of an export."""
    head: dict[str, object] = json.loads(text.partition(b"\n")[0])
    return head


def import_text(path: Path, text: bytes) -> str:
    """Import a text, and return the journal's server id afterwards."""
    import_journal(path, BytesIO(text))
    return info(path).server_id


def test_only_a_complete_export_has_the_server_id(tmp_path: Path) -> None:
    path = small(tmp_path / NAME)
    assert head_of(text_of(path, with_refs=True))["server_id"] == info(path).server_id != ""
    assert "server_id" not in head_of(text_of(path))
    assert "server_id" not in head_of(text_of(path, with_refs=True, rooms=["lobby"]))
    assert "server_id" not in head_of(text_of(path, with_refs=True, since_ms=TIME))


def test_a_journal_created_by_a_complete_import_is_the_same_server(tmp_path: Path) -> None:
    first = small(tmp_path / "first.db")
    second = tmp_path / "second.db"
    assert import_text(second, text_of(first, with_refs=True)) == info(first).server_id
    assert info(written(second)).server_id == info(first).server_id, "a server that opens it keeps the id"


def test_a_journal_created_by_another_import_is_a_new_server(tmp_path: Path) -> None:
    first = small(tmp_path / "first.db")
    second = tmp_path / "second.db"
    assert import_text(second, text_of(first)) == ""
    assert info(written(second)).server_id not in ("", info(first).server_id)


def test_a_journal_that_has_an_id_keeps_it(tmp_path: Path) -> None:
    first = small(tmp_path / "first.db")
    second = written(tmp_path / "second.db")
    before = info(second).server_id
    assert import_text(second, text_of(first, with_refs=True)) == before != info(first).server_id


@pytest.mark.parametrize("wrong", ["a b", "x" * 65, "é", "a/b"])
def test_an_invalid_server_id_is_refused(tmp_path: Path, wrong: str) -> None:
    head = {"type": "trio_chat_journal", "version": 1, "refs": True, "server_id": wrong}
    text = json.dumps(head).encode() + b'\n{"type":"end","rooms":0,"entries":0}\n'
    with pytest.raises(JournalToolError, match=r"^nothing was imported: line 1 is not a line of an export"):
        import_journal(tmp_path / NAME, BytesIO(text))


def test_info_shows_the_server_id(tmp_path: Path) -> None:
    found = info(written(tmp_path / NAME))
    assert f"server id   {found.server_id}" in format_info(found, 10)
    assert "server id   not made yet" in format_info(info(_never_opened(tmp_path)), 10)


def _never_opened(directory: Path) -> Path:
    path = directory / "imported.db"
    import_journal(path, BytesIO(text_of(small(directory / "small.db"))))
    return path
