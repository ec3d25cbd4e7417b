"""docs/scripting.md is held against the commands: exit statuses, JSON fields, the first line of `serve`."""

import errno
import json
import re
import signal
import socket
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from loadtest.report import as_json as loadtest_json
from loadtest.scenario import Scenario
from loadtest.verdict import RunResult
from tests.cases.commands import Server, serve
from tests.cases.commands import run as run_process
from tests.journal.admin.journals import small
from tests.loadtest.test_report import BROKEN, FINE, INTERRUPTED, INVALID, MISSED, TERMINATED
from trio_chat.cli import main
from trio_chat.client import Disconnected, Reconnected
from trio_chat.errors import ChatError
from trio_chat.terminal.show import as_json as event_json

PAGE = (Path(__file__).parents[1] / "docs" / "scripting.md").read_text(encoding="utf-8")


def part(title: str) -> str:
    """Return the text under a heading of the third level."""
    _, _, rest = PAGE.partition(f"\n### {title}\n")
    assert rest, f"docs/scripting.md has no part called {title}"
    return re.split(r"\n##", rest)[0]


def first_cells(text: str) -> list[str]:
    """Return the names in backticks of the first cells of all tables in a text."""
    return [
        name
        for row in re.findall(r"^\|([^|]*)\|", text, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", row)
    ]


def run(*args: str) -> int:
    """Run a command in this process and return its exit status."""
    result = CliRunner().invoke(main, list(args), prog_name="trio-chat")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result.exit_code


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(tmp_path_factory.mktemp("home"), "--journal", "memory") as server:
        yield server


# --- exit statuses --------------------------------------------------------------------------------------

Try = Callable[[pytest.MonkeyPatch, Path, Server], int]


def serve_ends(drained: bool) -> Try:
    def attempt(patch: pytest.MonkeyPatch, home: Path, server: Server) -> int:
        async def ended(*_: object) -> bool:
            return drained

        patch.setattr("trio_chat.server.process.run_process", ended)
        return run("serve", "--journal", "memory")

    return attempt


def serve_cannot_start(patch: pytest.MonkeyPatch, home: Path, server: Server) -> int:
    return run("serve", "--journal", "memory", "--port", str(server.port))


def serve_on_a_full_disk(patch: pytest.MonkeyPatch, home: Path, server: Server) -> int:
    def cannot_write(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    patch.setattr("trio_chat.journal.claim.JournalDescriptor", cannot_write)
    return run("serve", "--port", "0", "--journal", str(home / "journal.db"))


def join(name: str, *args: str) -> Try:
    def attempt(patch: pytest.MonkeyPatch, home: Path, server: Server) -> int:
        target = name.format(server=server.address)
        return run_process(home, "join", target, "--tokens", "none", *args, stdin=b"hi\n").returncode

    return attempt


def join_without_server(patch: pytest.MonkeyPatch, home: Path, server: Server) -> int:
    with socket.create_server(("127.0.0.1", 0)) as was:
        port = was.getsockname()[1]
    return run("join", f"ada@127.0.0.1:{port}")


def loadtest_ends(status: int) -> Try:
    def attempt(patch: pytest.MonkeyPatch, home: Path, server: Server) -> int:
        outcome = {0: FINE, 1: MISSED, 3: BROKEN, 4: INVALID, 130: INTERRUPTED, 143: TERMINATED}[status]

        async def ended(*_: object) -> RunResult:
            return outcome

        patch.setattr("loadtest.command.measure", ended)
        return run("loadtest")

    return attempt


def loadtest_cannot_run(patch: pytest.MonkeyPatch, home: Path, server: Server) -> int:
    return run("loadtest", "--rooms", "9", "--users", "3")


def journal(name: str, *args: str) -> Try:
    def attempt(patch: pytest.MonkeyPatch, home: Path, server: Server) -> int:
        small(home / "journal.db")
        return run("journal", *args, "--journal", str(home / name))

    return attempt


def journal_is_damaged(patch: pytest.MonkeyPatch, home: Path, server: Server) -> int:
    path = small(home / "journal.db")
    with sqlite3.connect(path) as db:
        db.execute("UPDATE rooms SET head = head + 1")
    db.close()
    return run("journal", "check", "--journal", str(path))


def journal_is_interrupted(patch: pytest.MonkeyPatch, home: Path, server: Server) -> int:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    patch.setattr("trio_chat.journal.admin.info.info", interrupted)
    return run("journal", "info", "--journal", str(home / "journal.db"))


TRIES: dict[tuple[str, int], Try] = {
    ("serve", 0): serve_ends(True),
    ("serve", 1): serve_ends(False),
    ("serve", 2): serve_cannot_start,
    ("serve", 75): serve_on_a_full_disk,
    ("join", 0): join("ada@{server}"),
    ("join", 1): join("a b@{server}"),
    ("join", 2): join("ada@{server}:x"),
    ("join", 3): join_without_server,
    **{("loadtest", status): loadtest_ends(status) for status in (0, 1, 3, 4, 130, 143)},
    ("loadtest", 2): loadtest_cannot_run,
    ("journal", 0): journal("journal.db", "check"),
    ("journal", 1): journal_is_damaged,
    ("journal", 2): journal("none.db", "check"),
    ("journal", 130): journal_is_interrupted,
}


def test_every_documented_status_is_tried_and_no_other() -> None:
    statuses = {
        (name, int(status))
        for name in ("serve", "join", "loadtest", "journal")
        for status in re.findall(r"^\| (\d+) \|", part(f"`{name}`"), re.MULTILINE)
    }
    assert statuses == set(TRIES)


@pytest.mark.parametrize(("name", "status"), TRIES)
def test_a_command_ends_with_the_status_of_the_page(
    name: str, status: int, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert TRIES[name, status](monkeypatch, tmp_path, server) == status


def test_a_status_of_an_error_is_one_of_the_page() -> None:
    """Whatever error of ours ends a command."""
    kinds = [ChatError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    assert {kind.exit_status for kind in kinds} <= {status for _, status in TRIES}


# --- the first line of serve -----------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_the_first_line_of_serve_is_the_address(host: str, tmp_path: Path) -> None:
    assert "\n    listening on tcp://HOST:PORT\n" in PAGE
    with serve(tmp_path, "--journal", "memory", "--host", host) as server:
        found = re.fullmatch(r"listening on tcp://(127\.0\.0\.1|\[::1\]):(\d+)", server.first_line)
        assert found
        (sed,) = re.findall(r"`sed -n '(.*?)'`", PAGE)
        port = subprocess.run(
            ["sed", "-n", sed], input=f"{server.first_line}\n", capture_output=True, text=True, check=True
        )
        assert port.stdout == f"{found[2]}\n"
        with socket.create_connection((found[1].strip("[]"), int(found[2])), 10):
            pass
        assert server.stop(signal.SIGTERM) == 0


# --- JSON ------------------------------------------------------------------------------------------------


def test_the_json_of_journal_info_has_the_fields_of_the_page(tmp_path: Path) -> None:
    path = small(tmp_path / "journal.db")
    result = CliRunner().invoke(main, ["journal", "info", "--json", "--journal", str(path)])
    assert result.stdout.count("\n") == 1
    found = json.loads(result.stdout)
    of_journal, of_room = part("`journal info --json`").split("Each object in `rooms`:")
    assert list(found) and sorted(found) == sorted(first_cells(of_journal))
    assert sorted(found["rooms"][0]) == sorted(first_cells(of_room))


@pytest.mark.parametrize("outcome", [FINE, replace(BROKEN, invalid=["why"])])
def test_the_json_of_loadtest_has_the_fields_of_the_page(outcome: object) -> None:
    report = loadtest_json(Scenario(), "somewhere", outcome)  # type: ignore[arg-type]
    assert sorted(report) == sorted(first_cells(part("`loadtest --json FILE`")))


def test_events_of_the_client_have_the_fields_of_the_page() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \|", part("`join --json`"), re.MULTILINE)
    printed = [json.loads(event_json(event)) for event in (Disconnected("the reason", 1.5), Reconnected(2.5))]
    assert rows == [(each["type"], field) for each in printed for field in each if field != "type"]


def test_join_prints_an_event_a_line(server: Server, tmp_path: Path) -> None:
    done = run_process(tmp_path, "join", f"eve@{server.address}", "--json", "--tokens", "none", stdin=b"hi\n")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[0]["type"] == "room"
    (said,) = (event for event in events if event["type"] == "said" and event["by"] == "eve")
    example = re.search(r'`(\{"type":"said".*?\})`', PAGE)
    assert example and sorted(said) == sorted(json.loads(example[1]))
