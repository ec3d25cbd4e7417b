"""The signals that end a server: which force the end, and that none kills a process about to exit with 0."""

import signal
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.patience import PATIENCE_S
from trio_chat.errors import CannotStart
from trio_chat.server import process
from trio_chat.server.config import Config
from trio_chat.server.process import run_process
from trio_chat.server.serve import open_server
from trio_chat.server.signals import REPEAT_S, SignalCount, hold_signals

NUMBERS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Put the handlers back that the tests themselves run with."""
    before = {number: signal.getsignal(number) for number in NUMBERS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_only_a_second_interrupt_forces_the_end() -> None:
    count = SignalCount()
    for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGHUP, signal.SIGHUP):
        assert not count.forces(number, 10.0)
    assert not count.forces(signal.SIGINT, 20.0)
    assert not count.forces(signal.SIGTERM, 30.0)
    assert count.forces(signal.SIGINT, 40.0)


def test_one_ctrl_c_that_arrives_twice_does_not_force_the_end() -> None:
    count = SignalCount()
    assert not count.forces(signal.SIGINT, 10.0)
    assert not count.forces(signal.SIGINT, 10.0 + REPEAT_S / 2)
    assert count.forces(signal.SIGINT, 10.0 + REPEAT_S)


def test_signals_are_held_and_then_ignored() -> None:
    with hold_signals() as held:
        for number in NUMBERS:
            signal.raise_signal(number)
        assert held.received == list(NUMBERS)
        held.is_over = True
    assert {signal.getsignal(number) for number in NUMBERS} == {signal.SIG_IGN}


def test_signals_of_a_server_that_did_not_start_are_what_they_were() -> None:
    before = [signal.getsignal(number) for number in NUMBERS]
    with hold_signals():
        assert [signal.getsignal(number) for number in NUMBERS] != before
    assert [signal.getsignal(number) for number in NUMBERS] == before


def test_a_hangup_that_is_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with hold_signals() as held:
        assert held.numbers == (signal.SIGTERM, signal.SIGINT)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN


@pytest.mark.parametrize("number", NUMBERS)
async def test_a_signal_ends_a_server_in_good_order(number: signal.Signals) -> None:
    said: list[str] = []

    def say(lines: Sequence[str]) -> None:
        said.extend(lines)
        signal.raise_signal(number)

    assert await run_process(Config(port=0), say)
    assert said[0].startswith("listening on tcp://127.0.0.1:")
    assert signal.getsignal(number) == signal.SIG_IGN


@pytest.mark.parametrize("number", NUMBERS)
async def test_a_signal_during_the_start_ends_it_without_a_word(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signal arrives before the listener is open; no peer is connected, so nothing is left to do."""

    @asynccontextmanager
    async def slow(_: Config) -> AsyncGenerator[None]:
        signal.raise_signal(number)
        await trio.Event().wait()
        yield

    monkeypatch.setattr(process, "open_server", slow)
    said: list[str] = []
    with trio.fail_after(PATIENCE_S):
        assert await run_process(Config(port=0), said.extend)
    assert said == []


@pytest.mark.parametrize("number", NUMBERS)
async def test_a_signal_while_the_journal_is_opened_ends_the_start_without_a_word(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opening waits for SQLite's locks in a thread, which nothing cancels: it returns an open server."""

    @asynccontextmanager
    async def slow(config: Config) -> AsyncGenerator[object]:
        async with open_server(config) as server:
            signal.raise_signal(number)
            with trio.CancelScope(shield=True):
                await wait_all_tasks_blocked()
            yield server

    monkeypatch.setattr(process, "open_server", slow)
    said: list[str] = []
    with trio.fail_after(PATIENCE_S):
        assert await run_process(Config(port=0), said.extend)
    assert said == []


async def test_a_signal_before_trio_receives_any_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    received = trio.open_signal_receiver

    def late(*numbers: signal.Signals) -> object:
        signal.raise_signal(signal.SIGTERM)
        return received(*numbers)

    monkeypatch.setattr(trio, "open_signal_receiver", late)
    with trio.fail_after(PATIENCE_S):
        assert await run_process(Config(port=0), lambda _: None)


async def test_a_server_that_cannot_start_leaves_the_signals_alone() -> None:
    before = [signal.getsignal(number) for number in NUMBERS]
    with pytest.raises(CannotStart):
        await run_process(Config(host="no.such.host.invalid"), print)
    assert [signal.getsignal(number) for number in NUMBERS] == before
