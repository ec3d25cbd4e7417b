"""A server process: start-up lines, default journal, open files and memory.

Its signals are in test_faults_sockets.py.
"""

import gc
import logging
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from trio_chat.errors import CannotStart
from trio_chat.journal.store import RetentionRule
from trio_chat.server import process
from trio_chat.server.config import Config
from trio_chat.server.process import (
    FILES_MIN,
    SPARE_FILES,
    allow_files,
    default_journal,
    lan_address,
    source_address,
    startup_lines,
    tune_memory,
)

IN_MEMORY = "messages are kept in memory, until the server ends"


def test_the_startup_lines_name_the_journal_and_the_retention() -> None:
    lines = startup_lines(Config(journal="/home/ada/journal.db"), ["tcp://127.0.0.1:5555"])
    assert lines[2:] == ["messages are kept forever, in /home/ada/journal.db"]
    keep = RetentionRule(90 * 86_400_000)
    lines = startup_lines(Config(journal="journal.db", keep=keep), ["tcp://127.0.0.1:5555"])
    assert lines[2:] == ["messages are kept for 90 days, in journal.db"]
    lines = startup_lines(Config(keep=RetentionRule(entries=500)), ["tcp://127.0.0.1:5555"])
    assert lines[2:] == ["messages are kept at most 500 entries a room, in memory, until the server ends"]


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.8.8.8", "localhost", "::1", "0:0:0:0:0:0:0:1", "::ffff:127.0.0.1"]
)
def test_the_startup_lines_of_a_loopback_server(host: str, caplog: pytest.LogCaptureFixture) -> None:
    assert startup_lines(Config(host), ["tcp://127.0.0.1:5555"]) == [
        "listening on tcp://127.0.0.1:5555",
        "open http://127.0.0.1:5555 in a browser",
        IN_MEMORY,
    ]
    assert startup_lines(Config(host, web=False), ["tcp://127.0.0.1:5555"]) == [
        "listening on tcp://127.0.0.1:5555",
        IN_MEMORY,
    ]
    assert not caplog.records


@pytest.mark.parametrize(
    ("host", "opened"),
    [
        ("0.0.0.0", "http://127.0.0.1:80"),
        ("[::]", "http://[::1]:80"),
        ("[::1]", "http://[::1]:80"),
        ("192.0.2.7", "http://192.0.2.7:80"),
        ("[::ffff:0.0.0.0]", "http://127.0.0.1:80"),
    ],
)
def test_the_url_for_a_browser_is_reachable_from_this_machine(
    host: str, opened: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(process, "source_address", lambda to: to)
    assert startup_lines(Config(), [f"tcp://{host}:80"])[1] == f"open {opened} in a browser"
    caplog.clear()


@pytest.mark.parametrize(
    ("host", "join_address"),
    [
        ("192.0.2.7", "192.0.2.7:5555"),
        ("127.0.0.1.example", "127.0.0.1.example:5555"),
        ("0.0.0.0", "192.0.2.9:5555"),
        ("[::]", "192.0.2.9:5555"),
        ("[2001:db8::7]", "[2001:db8::7]:5555"),
    ],
)
def test_the_startup_lines_of_a_public_server_have_a_join_command_and_a_warning(
    host: str, join_address: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(process, "lan_address", lambda **_: "192.0.2.9")
    said = [
        f"listening on tcp://{host}:5555",
        IN_MEMORY,
        f"others join with: trio-chat join {join_address}",
    ]
    assert startup_lines(Config(host, web=False), [f"tcp://{host}:5555"]) == said
    with_page = startup_lines(Config(host), [f"tcp://{host}:5555"])
    assert [with_page[0], *with_page[2:]] == [*said[:2], f"{said[2]}, or open http://{join_address}"]
    assert "anyone who can reach this address can read and join" in caplog.text
    caplog.clear()


def test_without_a_network_there_is_no_join_command(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(process, "source_address", lambda _: "")
    lines = startup_lines(Config("0.0.0.0", web=False), ["tcp://0.0.0.0:5555"])
    assert lines == ["listening on tcp://0.0.0.0:5555", IN_MEMORY]
    caplog.clear()


def test_without_ipv6_the_url_for_a_browser_is_ipv4(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(process, "source_address", lambda to: "" if ":" in to else to)
    assert startup_lines(Config(), ["tcp://[::]:80"])[1] == "open http://127.0.0.1:80 in a browser"
    caplog.clear()


@pytest.mark.parametrize(
    ("routes", "expected"),
    [
        ({"192.0.2.1": "192.0.2.9", "2001:db8::1": "2001:db8::9"}, "192.0.2.9"),
        ({"2001:db8::1": "2001:db8::9"}, "2001:db8::9"),
        ({"2001:db8::1": "fe80::9%eth0"}, ""),
        ({"192.0.2.1": "127.0.0.1"}, ""),
        ({}, ""),
    ],
)
def test_the_lan_address_is_reachable_from_other_machines(
    routes: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "source_address", lambda to: routes.get(to, ""))
    assert lan_address(has_ipv6=True) == expected
    assert lan_address() == (expected if "192.0.2.1" in routes else "")


def test_the_join_command_of_a_link_local_address_has_a_placeholder_for_the_zone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A URL cannot name a zone, so there is no line for a browser."""
    assert startup_lines(Config("fe80::7%eth0"), ["tcp://[fe80::7%eth0]:5555"]) == [
        "listening on tcp://[fe80::7%eth0]:5555",
        IN_MEMORY,
        "others join with: trio-chat join [fe80::7%INTERFACE]:5555",
    ]
    caplog.clear()


def test_a_host_name_that_resolves_to_loopback_is_not_announced_to_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Debian gives a machine's own name the address 127.0.1.1."""
    lines = startup_lines(Config("box.example"), ["tcp://127.0.1.1:5555"])
    assert lines == [
        "listening on tcp://127.0.1.1:5555",
        "open http://127.0.1.1:5555 in a browser",
        IN_MEMORY,
    ]
    assert not caplog.records


def test_the_source_address_of_loopback_is_loopback() -> None:
    assert source_address("127.0.0.1") == "127.0.0.1"
    assert source_address("no address") == ""


def test_a_journal_is_kept_where_the_platform_keeps_such_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    journal = Path(default_journal())
    assert journal.is_relative_to(tmp_path)
    assert (journal.parent.name, journal.name) == ("trio-chat", "journal.db")
    assert journal.parent.is_dir() and not journal.exists()


def test_a_data_directory_that_cannot_be_created_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    not_a_directory = tmp_path / "not_a_directory"
    not_a_directory.write_text("a file")
    monkeypatch.setenv("HOME", str(not_a_directory))
    monkeypatch.setenv("XDG_DATA_HOME", str(not_a_directory))
    with pytest.raises(CannotStart, match="cannot create the journal's directory: "):
        default_journal()


def _no_home(*_: object, **__: object) -> Path:
    raise RuntimeError("could not determine the home directory")


@pytest.mark.parametrize("found", [_no_home, lambda *_, **__: Path("~/.local/share/trio-chat")])
def test_without_a_home_directory_the_working_directory_gets_no_journal(
    found: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user id without a passwd entry and without HOME: platformdirs raises, or keeps the `~`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(process, "user_data_path", found)
    expected = "^cannot choose a journal file: HOME is not set; set --journal PATH$"
    with pytest.raises(CannotStart, match=expected):
        default_journal()
    assert not list(tmp_path.iterdir())


class Files:
    """The machine's limit of open files, as `resource` tells it."""

    def __init__(self, soft: int, hard: int) -> None:
        self.limits = (soft, hard)

    def get(self, _: int) -> tuple[int, int]:
        return self.limits

    def set(self, _: int, limits: tuple[int, int]) -> None:
        self.limits = limits


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((1_024, 4_096), (2_000, 4_096)),
        ((1_024, resource.RLIM_INFINITY), (2_000, resource.RLIM_INFINITY)),
        ((3_000, 4_096), (3_000, 4_096)),
    ],
)
def test_open_files_are_allowed_as_far_as_needed(
    before: tuple[int, int],
    after: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    files = Files(*before)
    monkeypatch.setattr(resource, "getrlimit", files.get)
    monkeypatch.setattr(resource, "setrlimit", files.set)
    allow_files(2_000)
    assert files.limits == after
    assert not caplog.records


def test_a_low_limit_of_open_files_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    files = Files(256, 1_024)
    monkeypatch.setattr(resource, "getrlimit", files.get)
    monkeypatch.setattr(resource, "setrlimit", files.set)
    with caplog.at_level(logging.WARNING):
        allow_files(2_000)
    assert files.limits == (1_024, 1_024)
    assert f"enough for {1_024 - SPARE_FILES} connections" in caplog.text
    assert "raise the limit (ulimit -n) to 2000" in caplog.text
    caplog.clear()


def test_a_very_low_limit_of_open_files_is_logged_without_a_number_of_connections(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(resource, "getrlimit", Files(FILES_MIN, FILES_MIN).get)
    allow_files(2_000)
    assert f"at most {FILES_MIN} open files: too few for many connections" in caplog.text
    caplog.clear()


def test_too_few_open_files_for_any_server_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", Files(FILES_MIN - 1, FILES_MIN - 1).get)
    with pytest.raises(CannotStart, match=r"raise the limit \(ulimit -n\) to 2000$"):
        allow_files(2_000)


@pytest.fixture
def collector() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


@pytest.mark.usefixtures("collector")
def test_the_collector_looks_less_often_and_not_at_what_was_there() -> None:
    tune_memory()
    assert gc.get_freeze_count() > 0
    assert gc.get_threshold()[0] > 700
