"""Paths as users write them: any bytes, names with another meaning in SQLite, and no name."""

import json
import os
from pathlib import Path

import pytest

from tests.journal.admin.journals import small, text_of
from tests.journal.admin.test_command import run
from trio_chat.server.config import Config

ODD = [b"\xff.db", b"new\nline.db", b"\x1b[2J.db", "ünï.db".encode(), b":memory:", b"a ?b#c%20d.db", b"-x.db"]


@pytest.mark.parametrize("name", ODD, ids=lambda name: ascii(name)[1:])
def test_every_command_takes_any_name_and_shows_it_in_one_line(name: bytes, tmp_path: Path) -> None:
    path, copy = small(tmp_path / "first.db"), tmp_path / f"copy {os.fsdecode(name)}"
    path = path.rename(tmp_path / os.fsdecode(name))
    text = tmp_path / "text"
    text.write_bytes(text_of(path))
    for args, lines in (
        (["info"], 10),
        (["check"], 1),
        (["export"], 9),
        (["backup", str(copy)], 1),
        (["backup", "--force", str(copy)], 1),
        (["prune", "--keep-entries", "3"], 2),
    ):
        status, out, err = run(path, *args)
        assert (status, err) == (0, ""), args
        assert out.count("\n") == lines, out
        assert out.replace("\n", "").isprintable()
    imported = tmp_path / f"import {os.fsdecode(name)}"
    status, out, err = run(imported, "import", str(text))
    assert (status, err, out.count("\n")) == (0, "", 1)
    assert imported.exists() and copy.exists()


def test_json_has_a_path_that_is_not_utf_8(tmp_path: Path) -> None:
    path = small(tmp_path / "first.db").rename(tmp_path / os.fsdecode(b"\xff.db"))
    status, out, err = run(path, "info", "--json")
    assert (status, err) == (0, "")
    assert json.loads(out)["path"] == f"{tmp_path}/\N{REPLACEMENT CHARACTER}.db"


def test_an_error_is_one_line_whatever_the_name(tmp_path: Path) -> None:
    for name, shown in ((b"\xff\n\x1b[2J", "\\udcff\\n\\x1b[2J"), (b"x" * 300, "x" * 300)):
        status, out, err = run(tmp_path / os.fsdecode(name), "info")
        assert (status, out, err.count("\n")) == (2, "", 1)
        assert shown in err


def test_memory_can_also_be_written_as_in_sqlite() -> None:
    assert Config(journal=":memory:").journal == "memory" == Config().journal
    assert Config(journal="./:memory:").journal == "./:memory:"


@pytest.mark.parametrize("name", ["memory", ":memory:"])
def test_a_journal_in_memory_has_no_file_for_the_commands(name: str) -> None:
    says = "trio-chat: a journal in memory has no file; name a file with --journal PATH\n"
    assert run(Path(name), "info") == (2, "", says)
    assert run(Path("x"), "info", "--journal", name) == (2, "", says)


def test_a_file_named_memory_can_be_given_with_its_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(tmp_path / "first.db").rename(tmp_path / ":memory:")
    monkeypatch.chdir(tmp_path)
    status, out, _ = run(Path("x"), "check", "--journal", "./:memory:")
    assert (status, out) == (0, ":memory:: 2 rooms and 5 entries, nothing wrong\n")


def test_an_empty_name_means_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default is that of `serve`."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    status, _, err = run(Path("x"), "info", "--journal", "")
    assert (status, err) == (2, f"trio-chat: there is no journal {tmp_path}/trio-chat/journal.db\n")
