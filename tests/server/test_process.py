"""What a server says first, and what it asks of the machine; its signals are in test_faults_sockets.py."""

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
    first_lines,
    lan_address,
    source_address,
    tune_memory,
)

IN_MEMORY = "messages are kept in memory until the server ends"


def test_a_server_says_where_what_is_said_is_kept_and_for_how_long() -> None:
    words = first_lines(Config(journal="/home/ada/journal.db"), ["tcp://127.0.0.1:5555"])
    assert words[2:] == ["messages are kept forever in /home/ada/journal.db"]
    keep = RetentionRule(90 * 86_400_000)
    words = first_lines(Config(journal="journal.db", keep=keep), ["tcp://127.0.0.1:5555"])
    assert words[2:] == ["messages are kept for 90 days in journal.db"]
    words = first_lines(Config(keep=RetentionRule(entries=500)), ["tcp://127.0.0.1:5555"])
    assert words[2:] == ["messages are kept at most 500 entries a room in memory until the server ends"]


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.8.8.8", "localhost", "::1", "0:0:0:0:0:0:0:1", "::ffff:127.0.0.1"]
)
def test_a_server_for_this_machine_says_where_it_listens(host: str, caplog: pytest.LogCaptureFixture) -> None:
    assert first_lines(Config(host), ["tcp://127.0.0.1:5555"]) == [
        "listening on tcp://127.0.0.1:5555",
        "open http://127.0.0.1:5555 in a browser",
        IN_MEMORY,
    ]
    assert first_lines(Config(host, web=False), ["tcp://127.0.0.1:5555"]) == [
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
def test_a_browser_is_sent_to_an_address_that_it_can_open(
    host: str, opened: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(process, "source_address", lambda to: to)
    assert first_lines(Config(), [f"tcp://{host}:80"])[1] == f"open {opened} in a browser"
    caplog.clear()


@pytest.mark.parametrize(
    ("host", "handed_out"),
    [
        ("192.0.2.7", "192.0.2.7:5555"),
        ("127.0.0.1.example", "127.0.0.1.example:5555"),
        ("0.0.0.0", "192.0.2.9:5555"),
        ("[::]", "192.0.2.9:5555"),
        ("[2001:db8::7]", "[2001:db8::7]:5555"),
    ],
)
def test_a_server_for_others_says_how_to_join_and_warns(
    host: str, handed_out: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(process, "lan_address", lambda **_: "192.0.2.9")
    said = [
        f"listening on tcp://{host}:5555",
        IN_MEMORY,
        f"others join with: trio-chat join {handed_out}",
    ]
    assert first_lines(Config(host, web=False), [f"tcp://{host}:5555"]) == said
    with_page = first_lines(Config(host), [f"tcp://{host}:5555"])
    assert [with_page[0], *with_page[2:]] == [*said[:2], f"{said[2]}, or open http://{handed_out}"]
    assert "anyone who can reach this address can read and join" in caplog.text
    caplog.clear()


def test_without_a_network_there_is_no_address_to_hand_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(process, "source_address", lambda _: "")
    words = first_lines(Config("0.0.0.0", web=False), ["tcp://0.0.0.0:5555"])
    assert words == ["listening on tcp://0.0.0.0:5555", IN_MEMORY]
    caplog.clear()


def test_without_ipv6_a_browser_on_this_machine_is_sent_to_ipv4(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(process, "source_address", lambda to: "" if ":" in to else to)
    assert first_lines(Config(), ["tcp://[::]:80"])[1] == "open http://127.0.0.1:80 in a browser"
    caplog.clear()


@pytest.mark.parametrize(
    ("routes", "told"),
    [
        ({"192.0.2.1": "192.0.2.9", "2001:db8::1": "2001:db8::9"}, "192.0.2.9"),
        ({"2001:db8::1": "2001:db8::9"}, "2001:db8::9"),
        ({"2001:db8::1": "fe80::9%eth0"}, ""),
        ({"192.0.2.1": "127.0.0.1"}, ""),
        ({}, ""),
    ],
)
def test_the_address_told_to_others_is_one_that_they_can_use(
    routes: dict[str, str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "source_address", lambda to: routes.get(to, ""))
    assert lan_address(has_ipv6=True) == told
    assert lan_address() == (told if "192.0.2.1" in routes else "")


def test_a_link_local_address_is_told_with_the_zone_that_others_have_to_fill_in(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """No URL can name a zone, so no browser is sent there."""
    assert first_lines(Config("fe80::7%eth0"), ["tcp://[fe80::7%eth0]:5555"]) == [
        "listening on tcp://[fe80::7%eth0]:5555",
        IN_MEMORY,
        "others join with: trio-chat join [fe80::7%INTERFACE]:5555",
    ]
    caplog.clear()


def test_a_name_of_this_machine_that_only_it_can_reach_is_told_to_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Debian gives a machine's own name the address 127.0.1.1."""
    words = first_lines(Config("box.example"), ["tcp://127.0.1.1:5555"])
    assert words == [
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


def test_without_a_place_for_a_journal_one_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobodys = tmp_path / "nobodys"
    nobodys.write_text("a file")
    monkeypatch.setenv("HOME", str(nobodys))
    monkeypatch.setenv("XDG_DATA_HOME", str(nobodys))
    with pytest.raises(CannotStart, match="cannot create a directory for the journal: "):
        default_journal()


def _no_home(*_: object, **__: object) -> Path:
    raise RuntimeError("could not determine the home directory")


@pytest.mark.parametrize("found", [_no_home, lambda *_, **__: Path("~/.local/share/trio-chat")])
def test_without_a_home_directory_no_journal_is_put_into_the_working_directory(
    found: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user id that is in no passwd file, without HOME: platformdirs raises, or leaves the `~` as it is."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(process, "user_data_path", found)
    expected = "^cannot find a directory for the journal: HOME is not set; --journal PATH names the file$"
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


def test_too_few_open_files_are_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    files = Files(256, 1_024)
    monkeypatch.setattr(resource, "getrlimit", files.get)
    monkeypatch.setattr(resource, "setrlimit", files.set)
    with caplog.at_level(logging.WARNING):
        allow_files(2_000)
    assert files.limits == (1_024, 1_024)
    assert f"room for {1_024 - SPARE_FILES} connections" in caplog.text
    assert "raise the limit (ulimit -n) to 2000" in caplog.text
    caplog.clear()


def test_few_open_files_are_no_negative_number_of_connections(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(resource, "getrlimit", Files(FILES_MIN, FILES_MIN).get)
    allow_files(2_000)
    assert f"at most {FILES_MIN} open files: hardly any room for connections" in caplog.text
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
