"""The files of the page."""

from pathlib import Path

from trio_chat.server.static_files import StaticFile, load_static_files, static_files_in


def test_only_files_that_browsers_are_sent_can_be_asked_for(tmp_path: Path) -> None:
    for name in ("index.html", "main.js", "notes.md", "tool.py", ".hidden", "README"):
        (tmp_path / name).write_text(name)
    (tmp_path / "folder.js").mkdir()
    (tmp_path / "folder.js" / "inner.js").write_text("inner")
    pages = static_files_in(tmp_path)
    assert sorted(pages) == ["/", "/static/main.js"]
    assert pages["/static/main.js"][:2] == (b"main.js", "text/javascript; charset=utf-8")


def test_a_tag_changes_with_every_byte(tmp_path: Path) -> None:
    (tmp_path / "main.js").write_text("one")
    before = static_files_in(tmp_path)["/static/main.js"]
    assert static_files_in(tmp_path)["/static/main.js"] == before
    (tmp_path / "main.js").write_text("two")
    assert static_files_in(tmp_path)["/static/main.js"].tag != before.tag


def test_the_page_is_there_with_all_that_it_names() -> None:
    pages = load_static_files()
    page = pages["/"]
    assert isinstance(page, StaticFile)
    named = [part.split('"')[0] for part in page.body.decode().split('"static/')[1:]]
    assert named and all(f"/static/{name}" in pages for name in named)
