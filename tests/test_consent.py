"""A load test asks before it loads a server that is not on this machine."""

import signal
import socket
from collections.abc import Iterable

import pytest
from click.testing import CliRunner

from loadtest.scenario import CannotRun
from loadtest.verdict import RunResult
from tests.loadtest.test_report import FINE
from trio_chat.cli import main
from trio_chat.cli.consent import ask_before_load, is_only_loopback
from trio_chat.cli.interrupt import exit_on_interrupt

ADDRESSES = {
    "local.example": ["127.0.0.1", "::1"],
    "mapped.example": ["::ffff:127.0.0.1"],
    "both.example": ["127.0.0.1", "192.0.2.1"],
    "other.example": ["2001:db8::1"],
    "empty.example": [],
}


def resolve(host: str, port: int) -> Iterable[str]:
    if host not in ADDRESSES:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    return ADDRESSES[host]


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("local.example", True),
        ("mapped.example", True),
        ("ws://local.example:80/ws", True),
        ("both.example", False),
        ("other.example", False),
        ("empty.example", False),
        ("tcp://other.example", False),
    ],
)
def test_every_address_of_a_host_counts(host: str, expected: bool) -> None:
    assert is_only_loopback(host, 5555, resolve=resolve) is expected


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "127.8.8.8", "ws://127.0.0.1:1", "ws://[::1]:1"])
def test_an_address_of_this_machine_needs_no_resolver(host: str) -> None:
    assert is_only_loopback(host, 5555)


def test_a_host_without_an_address_cannot_be_loaded() -> None:
    with pytest.raises(CannotRun, match=r"cannot resolve gone\.example: Name or service not known"):
        is_only_loopback("gone.example", 5555, resolve=resolve)
    with pytest.raises(CannotRun, match="cannot resolve "):
        is_only_loopback("x" * 64 + ".example", 5555)


class Terminal:
    """Standard input and standard error of a user who is there."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, started: list[object]) -> None:
        async def start(*args: object) -> RunResult:
            started.append(args)
            return FINE

        monkeypatch.setattr("loadtest.command.measure", start)
        monkeypatch.setattr("trio_chat.cli.consent.has_terminal", lambda: True)

    def types(self, text: str, *args: str) -> tuple[int, str]:
        result = CliRunner().invoke(main, ["loadtest", *args], input=text)
        return result.exit_code, result.stderr


ROOMS_STAY = "the rooms of a load test stay in the journal of its server"
QUESTION = f"192.0.2.1:5555 is not on this machine, and {ROOMS_STAY}."


@pytest.mark.parametrize(("typed", "starts"), [("y\n", True), ("n\n", False), ("\n", False), ("", False)])
def test_at_a_terminal_it_asks(typed: str, starts: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[object] = []
    status, err = Terminal(monkeypatch, started).types(typed, "192.0.2.1:5555")
    assert err.startswith(f"{QUESTION} Start it? [y/N]: ")
    assert (status, len(started)) == ((0, 1) if starts else (2, 0))
    assert starts or err.endswith("trio-chat: not started\n")


@pytest.mark.parametrize("args", [["192.0.2.1:5555", "--yes"], ["127.0.0.1"], []])
def test_it_does_not_ask_without_need(args: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[object] = []
    assert Terminal(monkeypatch, started).types("", *args) == (0, "")
    assert len(started) == 1


def test_ctrl_c_at_the_question_is_an_interrupt(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object) -> str:
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("SIGINT raises KeyboardInterrupt")

    monkeypatch.setattr("trio_chat.cli.consent.has_terminal", lambda: True)
    monkeypatch.setattr("click.termui.visible_prompt_func", interrupt)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert exit_on_interrupt()
        during = signal.getsignal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            ask_before_load("192.0.2.1", 5555)
        assert signal.getsignal(signal.SIGINT) is during
    finally:
        signal.signal(signal.SIGINT, before)
    assert capsys.readouterr().err.endswith("\n")


def test_without_a_terminal_it_does_not_start() -> None:
    result = CliRunner().invoke(main, ["loadtest", "192.0.2.1:5555"], input="y\n")
    assert result.exit_code == 2
    assert result.stderr == f"trio-chat: {QUESTION[:-1]}; add --yes to start the test\n"
