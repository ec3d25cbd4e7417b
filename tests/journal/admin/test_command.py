"""`trio-chat journal`: its output and exit statuses."""

import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import trio
from click.testing import CliRunner

from tests.journal.admin.journals import run_sql, say, small, text_of, written
from tests.journal.test_sqlite import NAME
from tests.patience import PATIENCE_S
from trio_chat.cli import main
from trio_chat.journal.admin import importing
from trio_chat.journal.sqlite import open_sqlite
from trio_chat.journal.sqlite_file import VERSION

MAIN = "from trio_chat.cli import main; main(prog_name='trio-chat')"
COMMANDS = ("info", "export", "import", "backup", "check", "prune", "retime")


def run(path: Path, *args: str, stdin: bytes = b"") -> tuple[int, str, str]:
    """Run a command; return its exit status, standard output and standard error."""
    environment = {"TRIO_CHAT_JOURNAL": str(path)}
    result = CliRunner().invoke(main, ["journal", *args], env=environment, input=stdin, prog_name="trio-chat")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result.exit_code, result.stdout, result.stderr


def arguments(command: str, directory: Path) -> list[str]:
    """Return a command with its required arguments."""
    (directory / "text").write_bytes(b'{"type":"trio_chat_journal","version":1,"refs":false}\n')
    more = {
        "import": [str(directory / "text")],
        "backup": [str(directory / "copy.db")],
        "prune": ["--before=1d"],
        "retime": ["--room=lobby"],
    }
    return [command, *more.get(command, [])]


def test_info_prints_lines_or_json(tmp_path: Path) -> None:
    path = small(tmp_path / NAME)
    status, out, err = run(path, "info")
    assert (status, err) == (0, "")
    assert f"journal     {path}\nstate       stopped in good order\n" in out
    status, out, err = run(path, "info", "--json")
    assert (status, json.loads(out)["entries"], err) == (0, 5, "")


def test_export_and_import_use_files_or_pipes(tmp_path: Path) -> None:
    path, text = small(tmp_path / NAME), tmp_path / "text"
    assert run(path, "export", "--with-refs", "-o", str(text)) == (0, "", "")
    assert text.read_bytes() == text_of(path, with_refs=True)
    status, out, _ = run(path, "export", "--room", "ATTIC")
    assert (status, out.encode()) == (0, text_of(path, rooms=["attic"]))
    first, second = tmp_path / "first.db", tmp_path / "second.db"
    assert run(first, "import", str(text)) == (0, f"2 rooms and 5 entries imported into {first}\n", "")
    said = (0, f"1 room and 1 entry imported into {second}\n", "")
    assert run(second, "import", "-", stdin=out.encode()) == said


def test_an_export_to_a_dash_is_on_standard_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = small(tmp_path / NAME)
    monkeypatch.chdir(tmp_path)
    for option in (("-o", "-"), ("--output=-",), ("-o-",), ("-o", "-", "--force")):
        assert run(path, "export", *option) == (0, text_of(path).decode(), "")
    assert not Path("-").exists()
    assert run(path, "export", "-o", "./-") == (0, "", ""), "a file named - can be given with its directory"
    assert Path("./-").read_bytes() == text_of(path)
    status, out, _ = run(tmp_path / "first.db", "import", "./-", stdin=b"not this")
    assert (status, out.partition(" imported")[0]) == (0, "2 rooms and 5 entries")


def test_an_export_replaces_a_file_only_with_force(tmp_path: Path) -> None:
    path, text = small(tmp_path / NAME), tmp_path / "text"
    text.write_text("precious")
    refused = f"trio-chat: cannot write {text}: it exists already; use --force to replace it\n"
    assert run(path, "export", "-o", str(text)) == (2, "", refused)
    assert text.read_text() == "precious"
    assert run(path, "export", "--force", "-o", str(text)) == (0, "", "")
    assert text.read_bytes() == text_of(path)


def test_backup_prints_the_size_of_the_copy(tmp_path: Path) -> None:
    path, copy = small(tmp_path / NAME), tmp_path / "copy.db"
    status, out, err = run(path, "backup", str(copy))
    assert (status, out, err) == (0, f"{copy}: {copy.stat().st_size:,} bytes\n", "")


def test_a_copy_to_a_dash_is_on_standard_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, temporary = small(tmp_path / NAME), tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.chdir(tmp_path)
    environment = {"TRIO_CHAT_JOURNAL": str(path)}
    result = CliRunner().invoke(main, ["journal", "backup", "-"], env=environment)
    assert (result.exit_code, result.stderr) == (0, "")
    copy = tmp_path / "copy.db"
    copy.write_bytes(result.stdout_bytes)
    assert text_of(copy) == text_of(path)
    assert run(copy, "check") == (0, f"{copy}: 2 rooms and 5 entries, nothing wrong\n", "")
    assert not Path("-").exists() and list(temporary.iterdir()) == []


def test_a_copy_to_a_terminal_is_refused(tmp_path: Path) -> None:
    """A database would fill the terminal with control characters."""
    controller, terminal = os.openpty()
    command = [sys.executable, "-c", MAIN, "journal", "backup", "--journal", str(small(tmp_path / NAME)), "-"]
    try:
        done = subprocess.run(
            command, stdout=terminal, stderr=subprocess.PIPE, timeout=PATIENCE_S, check=False
        )
    finally:
        os.close(terminal)
        os.close(controller)
    says = b"trio-chat: cannot write a copy to a terminal: redirect it, as in `backup - > copy.db`\n"
    assert (done.returncode, done.stderr) == (2, says)


@pytest.mark.parametrize(
    ("redirection", "says"),
    [
        (
            "| head -c 20 > /dev/null; exit ${PIPESTATUS[0]}",
            "",
        ),  # a closed pipe is not an error worth a message
        ("> /dev/full", "trio-chat: cannot write to standard output: No space left on device\n"),
        (">&-", "trio-chat: cannot write to standard output: it is closed\n"),
    ],
)
def test_a_backup_to_a_failing_standard_output_is_exit_2_and_at_most_one_line(
    redirection: str, says: str, tmp_path: Path
) -> None:
    path = written(tmp_path / NAME, *[[say("x" * 4_000) for _ in range(500)] for _ in range(2)])
    command = shlex.join([sys.executable, "-c", MAIN, "journal", "backup", "--journal", str(path), "-"])
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    done = subprocess.run(
        ["bash", "-c", f"{command} {redirection}"],
        env={**os.environ, "TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (2, "", says)
    assert list(temporary.iterdir()) == []


def test_an_import_from_a_closed_standard_input_is_one_line_and_exit_2(tmp_path: Path) -> None:
    command = [sys.executable, "-c", MAIN, "journal", "import", "--journal", str(tmp_path / NAME), "-"]
    done = subprocess.run(
        ["bash", "-c", f"{shlex.join(command)} <&-"],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    says = "trio-chat: nothing was imported: line 1 is missing: the export was cut off\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", says)
    assert not (tmp_path / NAME).exists()


def test_a_missing_temporary_directory_is_one_line_and_exit_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    status, out, err = run(small(tmp_path / NAME), "backup", "-")
    assert (status, out) == (2, "") and err == f"trio-chat: {tmp_path}/missing: No such file or directory\n"


@pytest.mark.parametrize("command", ["export", "backup"])
def test_a_device_is_not_replaced(command: str, tmp_path: Path) -> None:
    args = {"export": ["export", "-o"], "backup": ["backup"]}[command]
    os.mkfifo(tmp_path / "pipe")
    says = f"trio-chat: cannot write {tmp_path}/pipe: it is not a regular file; use `-` for standard output\n"
    assert run(small(tmp_path / NAME), *args, str(tmp_path / "pipe"), "--force") == (2, "", says)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_journal_cannot_be_a_dash(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    says = "trio-chat: invalid --journal: got '-', expected a file; it cannot be standard input or output\n"
    args = arguments(command, tmp_path)
    assert run(Path("-"), *args) == (2, "", says)
    assert run(Path("memory"), *args, "--journal", "-") == (2, "", says)
    assert [path.name for path in tmp_path.iterdir()] == ["text"]


def test_a_check_ends_with_0_or_1(tmp_path: Path) -> None:
    path = small(tmp_path / NAME)
    assert run(path, "check") == (0, f"{path}: 2 rooms and 5 entries, nothing wrong\n", "")
    run_sql(path, "UPDATE rooms SET topic = 'other', epoch = '' WHERE key = 'attic'")
    assert run(path, "check", "--quick") == (
        1,
        "room Attic: it has no epoch\nroom Attic: its topic differs from its last topic change\n",
        f"trio-chat: {path} is damaged: 2 problems in 2 rooms and 5 entries\n",
    )


def test_prune_prints_and_removes_old_entries(tmp_path: Path) -> None:
    path = small(tmp_path / NAME)
    args = ("prune", "--keep-entries", "3", "--before", "2023-11-14T22:13:21Z")
    gone = "Attic: 1 to 1\nLobby: 1 to 2\n3 entries"
    assert run(path, *args, "--dry-run") == (0, f"{gone} would be pruned\n", "")
    assert run(path, *args) == (0, f"{gone} pruned\n", "")
    assert run(path, *args) == (0, "0 entries pruned\n", "")
    status, out, _ = run(path, "prune", "--keep-entries", "1", "--room", "lobby", "--vacuum")
    size = path.stat().st_size
    assert (
        status == 0
        and out.startswith("Lobby: 3 to 3\n1 entry pruned; ")
        and f"file size {size:,} bytes (was" in out
    )


def test_prune_without_a_bound_removes_whole_rooms(tmp_path: Path) -> None:
    path = small(tmp_path / NAME)
    gone = "Attic: 1 to 1, and the room itself\nLobby: 1 to 4, and the room itself\n2 rooms and 5 entries"
    both = ("prune", "--room", "#ATTIC", "--room", "lobby")
    assert run(path, *both, "--dry-run") == (0, f"{gone} would be removed\n", "")
    unknown = (2, "", "trio-chat: there is no room cellar in the journal\n")
    assert run(path, *both, "--room", "cellar") == unknown
    assert run(path, "export")[1].count('"type":"room"') == 2
    assert run(path, *both) == (0, f"{gone} removed\n", "")
    assert run(path, "info", "--json")[1].count('"room"') == 0
    assert run(path, *both) == (2, "", "trio-chat: there is no room attic in the journal\n")


def test_prune_removes_a_room_without_kept_entries(tmp_path: Path) -> None:
    path = small(tmp_path / NAME)
    assert run(path, "prune", "--before", "0s")[0] == 0
    status, out, _ = run(path, "prune", "--room", "attic", "--vacuum")
    gone = "Attic: no entries, and the room itself\n1 room and 0 entries removed; "
    assert status == 0 and out.startswith(gone)


def test_prune_needs_an_option(tmp_path: Path) -> None:
    status, out, err = run(small(tmp_path / NAME), "prune")
    says = (
        "missing option: give --before TIME, --keep-entries N, or both; or --room NAME to remove a whole room"
    )
    assert (status, out) == (2, "") and says in err


def test_control_characters_in_a_damaged_file_are_escaped(tmp_path: Path) -> None:
    path = small(tmp_path / NAME)
    run_sql(path, "UPDATE rooms SET shown = char(27) || '[2J' WHERE key = 'attic'")
    status, out, _ = run(path, "check")
    assert status == 1 and out.startswith("room \\x1b[2J: clients cannot find it") and "\x1b" not in out


@pytest.mark.parametrize("command", COMMANDS)
def test_a_missing_or_foreign_or_newer_file_is_one_line_and_exit_2(command: str, tmp_path: Path) -> None:
    args = arguments(command, tmp_path)
    memory = "trio-chat: a journal in memory has no file; name a file with --journal PATH\n"
    assert run(Path("memory"), *args) == (2, "", memory)
    missing = tmp_path / "missing" / NAME
    status, out, err = run(missing, *args)
    says = "No such file or directory" if command == "import" else "there is no journal"
    assert (status, out) == (2, "") and says in err and err.count("\n") == 1
    (tmp_path / NAME).write_text("Dear diary, " * 100)
    diary = f"trio-chat: cannot use {tmp_path / NAME}: it is not a trio-chat journal\n"
    assert run(tmp_path / NAME, *args) == (2, "", diary)
    newer = small(tmp_path / "newer.db")
    run_sql(newer, f"PRAGMA user_version = {VERSION + 1}")
    status, out, err = run(newer, *args)
    assert (status, out) == (2, "") and "install a newer trio-chat" in err and err.count("\n") == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_reading_commands_work_beside_a_server_and_changing_commands_do_not(
    command: str, tmp_path: Path
) -> None:
    async def beside_a_server() -> tuple[int, str, str]:
        store = await open_sqlite(tmp_path / NAME)
        try:
            await store.open("lobby", "Lobby")
            await store.commit([say("hello")], 1_700_000_000_000)
            return run(tmp_path / NAME, *arguments(command, tmp_path))
        finally:
            await store.aclose()

    status, out, err = trio.run(beside_a_server)
    if command in ("import", "prune", "retime"):
        assert (status, out) == (2, "")
        assert err == f"trio-chat: a server is using the journal {tmp_path / NAME}; stop it first\n"
    else:
        assert (status, err) == (0, "") and out


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("export", "--room", "a b"), "a room must consist of letters, digits and marks, without spaces"),
        (("export", "--room", "cellar"), "there is no room cellar in the journal"),
        (
            ("export", "--since", "soon"),
            "invalid time: got 'soon', expected an age such as 90d or 12h, or a date such as 2026-01-31",
        ),
        (("prune", "--room", "cellar", "--keep-entries", "1"), "there is no room cellar in the journal"),
        (("prune", "--room", "##attic"), "a room must not begin with #"),
        (("prune", "--room", ""), "a room must not be empty"),
        (("import", "nowhere"), "cannot read nowhere: No such file or directory"),
        (("import", "/"), "cannot read /: Is a directory"),
    ],
)
def test_invalid_arguments_are_one_line_and_exit_2(args: tuple[str, ...], says: str, tmp_path: Path) -> None:
    assert run(small(tmp_path / NAME), *args) == (2, "", f"trio-chat: {says}\n")


def test_an_export_to_a_closed_pipe_ends_quietly(tmp_path: Path) -> None:
    path = written(tmp_path / NAME, *[[say("x" * 4_000) for _ in range(500)] for _ in range(2)])
    command = [sys.executable, "-c", MAIN, "journal", "export", "--journal", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline().startswith(b'{"type":"trio_chat_journal"')
        process.stdout.close()
        assert process.wait(60) == 2
        assert process.stderr.read() == b""


def test_ctrl_c_is_one_line_and_exit_130_and_changes_nothing(tmp_path: Path) -> None:
    """The import has read the first part of the text, and waits for more."""
    path = written(tmp_path / NAME, [say("hello")])
    before = text_of(path)
    text = text_of(small(tmp_path / "first.db"), rooms=["attic"])
    # Tests that run in the background ignore Ctrl-C, and so do their child processes.
    heeding = f"import signal; signal.signal(signal.SIGINT, signal.default_int_handler); {MAIN}"
    command = [sys.executable, "-c", heeding, "journal", "import", "--journal", str(path), "-"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        process.stdin.write(text[:-10])
        process.stdin.flush()
        while not (tmp_path / f"{NAME}-wal").exists():  # the import has begun
            assert process.poll() is None
            os.sched_yield()
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert process.stdout.read() == b""
        assert process.stderr.read() == b"\ntrio-chat: interrupted, and nothing was changed\n"
    assert text_of(path) == before


def test_a_bug_is_not_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(importing, "import_journal", broken)
    result = CliRunner().invoke(main, ["journal", "import", "--journal", str(tmp_path / NAME), "-"])
    assert isinstance(result.exception, RuntimeError)
