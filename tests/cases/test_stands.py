"""Situations that have always gone well, and stay so."""

from pathlib import Path

from tests.cases.commands import run, serve


def test_letters_of_a_uri_in_a_journal_path_are_letters_of_its_name(tmp_path: Path) -> None:
    journal = tmp_path / "a ?b#c%20d.db"
    with serve(tmp_path, "--journal", str(journal)) as server:
        done = run(tmp_path, "join", f"ada@{server.address}", "--tokens", "none", stdin=b"kept\n")
        assert done.returncode == 0, done.stderr
        assert server.stop() == 0
    assert journal.exists()
    assert b'"kept"' in run(tmp_path, "journal", "export", "--journal", str(journal)).stdout
