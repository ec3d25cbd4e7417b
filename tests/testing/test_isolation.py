"""Threads, sockets, processes and real clocks are refused inside a simulation, and only there."""

import logging
import os
import re
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import trio

from trio_chat.errors import NotSimulated
from trio_chat.testing.simulate import Simulation, simulate

real = time.time, time.monotonic, time.sleep, threading.Thread.start


async def in_a_thread() -> None:
    await trio.to_thread.run_sync(print)


def own_thread() -> None:
    threading.Thread(target=print).start()


def a_process() -> None:
    subprocess.run(["true"], check=True)


async def trios_process() -> None:
    await trio.run_process(["true"])


def a_fork() -> None:
    if not os.fork():
        os._exit(0)


async def a_listener() -> None:
    await trio.open_tcp_listeners(0, host="127.0.0.1")


async def a_name() -> None:
    await trio.socket.getaddrinfo("localhost", 1)


REACHES: list[tuple[Callable[[], Any], str, str]] = [
    (in_a_thread, "a thread", "await trio.to_thread.run_sync(print)"),
    (own_thread, "a thread", "threading.Thread(target=print).start()"),
    (socket.socket, "a socket inside a simulation: socket.__new__", "result = reach()"),
    (a_listener, "the resolver", "await trio.open_tcp_listeners("),
    (a_name, "the resolver", "await trio.socket.getaddrinfo("),
    (a_process, "a process inside a simulation: subprocess.Popen", 'subprocess.run(["true"], check=True)'),
    (trios_process, "a ", 'await trio.run_process(["true"])'),
    (lambda: os.system("true"), "a process inside a simulation: os.system", 'os.system("true")'),
    (a_fork, "a process inside a simulation: os.fork", "if not os.fork():"),
    (lambda: time.time(), "the clock of the machine inside a simulation: time.time()", "time.time()"),
    (lambda: time.time_ns(), "the clock of the machine", "time.time_ns()"),
    (lambda: time.monotonic(), "the clock of the machine", "time.monotonic()"),
    (lambda: time.monotonic_ns(), "the clock of the machine", "time.monotonic_ns()"),
    (lambda: time.perf_counter(), "the clock of the machine", "time.perf_counter()"),
    (lambda: time.perf_counter_ns(), "the clock of the machine", "time.perf_counter_ns()"),
    (lambda: time.clock_gettime(time.CLOCK_REALTIME), "the clock of the machine", "time.CLOCK_REALTIME)"),
    (
        lambda: time.clock_gettime_ns(time.CLOCK_MONOTONIC),
        "the clock of the machine",
        "time.CLOCK_MONOTONIC)",
    ),
    (lambda: time.sleep(0.001), "a real sleep inside a simulation: time.sleep()", "time.sleep(0.001)"),
]


async def do(reach: Callable[[], Any]) -> None:
    result = reach()
    if hasattr(result, "__await__"):
        await result


@pytest.mark.parametrize(("reach", "what", "line"), REACHES)
def test_what_is_not_simulated_is_told(reach: Callable[[], Any], what: str, line: str) -> None:
    async def scenario(sim: Simulation) -> None:
        await trio.sleep(1)
        await do(reach)

    with pytest.raises(NotSimulated) as caught:
        simulate(5, scenario)
    text = str(caught.value)
    assert text.startswith(what)
    assert re.search(r" inside a simulation: .*, from tests/testing/test_isolation\.py:\d+  ", text)
    assert line in text.partition(", from ")[2]
    assert any("replay: simulate(5, " in note for note in caught.value.__notes__)


def a_look_at_the_clock() -> None:
    time.time()


@pytest.mark.parametrize("reach", [a_look_at_the_clock, own_thread, in_a_thread])
def test_swallowing_it_does_not_help(reach: Callable[[], Any]) -> None:
    async def scenario(sim: Simulation) -> None:
        for _ in range(2):
            with suppress(Exception):
                await do(reach)

    with pytest.raises(NotSimulated, match=" inside a simulation: ") as caught:
        simulate(1, scenario)
    assert caught.value.__cause__ is None


def test_it_comes_before_what_the_program_made_of_it() -> None:
    async def scenario(sim: Simulation) -> None:
        try:
            time.time()
        except NotSimulated as error:
            raise ValueError("no time") from error

    with pytest.raises(NotSimulated) as caught:
        simulate(1, scenario)
    assert isinstance(caught.value.__cause__, ValueError)

    async def in_a_task(sim: Simulation) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(scenario, sim)
            nursery.start_soon(trio.sleep, 1)

    with pytest.raises(NotSimulated) as caught:
        simulate(1, in_a_task)
    group = caught.value.__cause__
    assert isinstance(group, ExceptionGroup)
    assert group.exceptions[0].__cause__ is not caught.value, "nothing is its own cause"


def test_a_thread_that_trio_kept_is_refused_too() -> None:
    """To give work to a thread that is there already starts none."""
    trio.run(in_a_thread)

    async def scenario(sim: Simulation) -> None:
        await in_a_thread()

    with pytest.raises(NotSimulated, match=r"a thread inside a simulation: trio\.start_thread_soon"):
        simulate(1, scenario)
    trio.run(in_a_thread)


def test_binding_a_socket_that_was_made_before_is_refused() -> None:
    with socket.socket() as made:

        async def scenario(sim: Simulation) -> None:
            made.bind(("127.0.0.1", 0))

        with pytest.raises(NotSimulated, match=r"socket\.bind"):
            simulate(1, scenario)


def test_before_and_after_nothing_is_refused() -> None:
    async def scenario(sim: Simulation) -> None:
        await trio.sleep(1)

    simulate(1, scenario)
    assert (time.time, time.monotonic, time.sleep, threading.Thread.start) == real
    assert time.time() > 0
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
    thread = threading.Thread(target=lambda: None)
    thread.start()
    thread.join()


def test_logs_and_trio_may_ask_what_time_it_is(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(sim: Simulation) -> None:
        logging.getLogger("program").warning("hello")
        with trio.move_on_after(1):
            await trio.sleep(2)

    simulate(1, scenario)
    assert caplog.messages == ["hello"]


def test_another_thread_may_do_as_it_likes() -> None:
    """It is not the program; pytest's own, for one."""
    may_go, gone = threading.Event(), threading.Event()
    asked: list[float] = []

    def other() -> None:
        may_go.wait()
        asked.append(time.time())
        with socket.socket() as made:
            made.bind(("127.0.0.1", 0))
            asked.append(1)
        gone.set()

    thread = threading.Thread(target=other)
    thread.start()

    async def scenario(sim: Simulation) -> None:
        may_go.set()
        gone.wait()

    simulate(1, scenario)
    thread.join()
    assert len(asked) == 2
