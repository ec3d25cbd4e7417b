"""Journal paths with characters that have a meaning in a URI."""

from pathlib import Path

from tests.cases.commands import run, serve


def test_uri_characters_in_a_journal_path_are_literal(tmp_path: Path) -> None:
    journal = tmp_path / "a ?b#c%20d.db"
    with serve(tmp_path, "--journal", str(journal)) as server:
        done = run(tmp_path, "join", f"ada@{server.address}", "--tokens", "none", stdin=b"kept\n")
        assert done.returncode == 0, done.stderr
        assert server.stop() == 0
    assert journal.exists()
    assert b'"kept"' in run(tmp_path, "journal", "export", "--journal", str(journal)).stdout
