"""Standard input as lines, and output that may block."""

import os
import threading
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, suppress

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from trio_chat.terminal.standard import (
    BUFFERED_CHARACTERS_MAX,
    BUFFERED_LINES_MAX,
    LINE_CHARACTERS_MAX,
    READ_BYTES,
    Input,
    LineSplitter,
    Output,
)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        with suppress(OSError):  # the test may have closed it
            os.close(end)


# --- lines ------------------------------------------------------------------------------------------


def split(*chunks: bytes) -> list[str]:
    splitter = LineSplitter()
    return [line for chunk in chunks for line in splitter.feed(chunk)] + splitter.end()


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", []),
        (b"one\ntwo\n", ["one", "two"]),
        (b"one\r\ntwo", ["one", "two"]),
        (b"\n\nx", ["", "", "x"]),
        (b"a\rb\n", ["a\rb"]),
        ("zwölf 🦆\n".encode(), ["zwölf 🦆"]),
        (b"caf\xe9\n", ["caf\ufffd"]),
        (b"half \xf0\x9f", ["half \ufffd"]),
        (b"\xef\xbb\xbfone\r\n\xef\xbb\xbftwo\r\n", ["one", "\ufefftwo"]),
        ("one\u2028line\x0b\n".encode(), ["one\u2028line\x0b"]),
    ],
)
def test_bytes_become_lines(data: bytes, lines: list[str]) -> None:
    assert split(data) == lines


@given(st.lists(st.binary(max_size=8)))
def test_chunk_boundaries_do_not_change_the_lines(chunks: list[bytes]) -> None:
    assert split(*chunks) == split(b"".join(chunks))


def test_an_endless_line_is_split_without_loss() -> None:
    """It is not scanned again for every read either."""
    splitter = LineSplitter()
    lines = [line for _ in range(20_000) for line in splitter.feed(b"x" * 1000)]
    assert {len(line) for line in lines} == {LINE_CHARACTERS_MAX}
    assert sum(map(len, lines + splitter.feed(b"\n"))) == 20_000_000


@pytest.mark.parametrize("size", [1000, READ_BYTES, 3 * LINE_CHARACTERS_MAX])
def test_the_continuation_of_a_split_line_is_not_a_command(size: int) -> None:
    slashes = b"/" * (3 * LINE_CHARACTERS_MAX)

    def lines(*, has_commands: bool) -> list[str]:
        splitter = LineSplitter(has_commands=has_commands)
        parts = [slashes[at : at + size] for at in range(0, len(slashes), size)]
        return [line for part in parts for line in splitter.feed(part)] + splitter.end()

    literal, escaped = lines(has_commands=False), lines(has_commands=True)
    assert "".join(literal) == slashes.decode()
    assert "".join([escaped[0], *(line.removeprefix("/") for line in escaped[1:])]) == slashes.decode()
    assert all(line.startswith("//") for line in escaped[1:])
    assert max(map(len, literal + escaped)) == LINE_CHARACTERS_MAX


# --- input ------------------------------------------------------------------------------------------


@asynccontextmanager
async def reading_from(fd: int) -> AsyncGenerator[Input]:
    # A duplicate that is never closed: an abandoned thread may read only after the next test has opened
    # another descriptor with the same number.
    typed = Input(os.dup(fd))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(typed.read)
        yield typed
        nursery.cancel_scope.cancel()


async def test_lines_are_read_until_the_input_ends(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    async with reading_from(reading) as typed:
        os.write(writing, b"one\ntwo\nthr")
        assert await typed.next_line() == "one"
        assert typed.pending == ["two"]
        assert await typed.next_line() == "two"
        os.write(writing, b"ee")
        os.close(writing)
        assert await typed.next_line() == "three"
        assert await typed.next_line() is None
        assert await typed.next_line() is None


async def test_cancelling_next_line_loses_nothing(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    async with reading_from(reading) as typed:
        with trio.move_on_after(0.01) as waiting:
            await typed.next_line()
        assert waiting.cancelled_caught
        os.write(writing, b"one\n")
        assert await typed.next_line() == "one"


async def test_unused_input_is_left_for_the_next_program(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    os.set_blocking(reading, False)
    os.write(writing, b"one\n")
    async with reading_from(reading):
        await trio.testing.wait_all_tasks_blocked(0.01)
    assert os.read(reading, 100) == b"one\n"


async def test_read_ahead_is_bounded_in_lines(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    os.set_blocking(writing, False)
    lines = b"".join(b"%8d\n" % n for n in range(20_000))
    async with reading_from(reading) as typed:
        taken: list[str | None] = []
        rest = lines[os.write(writing, lines) :]
        taken.append(await typed.next_line())
        for _ in range(100):  # more than the buffer and the pipe hold together
            with suppress(BlockingIOError):
                rest = rest[os.write(writing, rest) :]
            await trio.testing.wait_all_tasks_blocked(0.001)
        assert BUFFERED_LINES_MAX <= len(typed.pending) <= BUFFERED_LINES_MAX + READ_BYTES // 9
        assert rest, "the pipe still holds the other lines"
        while typed.pending:
            taken.append(await typed.next_line())
    assert taken == [f"{n:8}" for n in range(len(taken))]


async def test_waiting_for_a_buffered_line_does_not_consume_it(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    async with reading_from(reading) as typed:
        os.write(writing, b"one\ntwo\n")
        assert await typed.next_line() == "one"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(typed.wait_until_buffered, "four".__eq__)
            await trio.testing.wait_all_tasks_blocked(0.01)
            os.write(writing, b"three\nfour\n")
        assert [await typed.next_line() for _ in range(3)] == ["two", "three", "four"]


async def test_a_non_blocking_input_is_waited_for(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    os.set_blocking(reading, False)
    async with reading_from(reading) as typed, trio.open_nursery() as nursery:

        async def read() -> None:
            assert await typed.next_line() == "late"

        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked(0.01)
        os.write(writing, b"late\n")


async def test_a_closed_input_has_ended(pipe: tuple[int, int]) -> None:
    async with reading_from(pipe[1]) as typed:  # the write end cannot be read
        assert await typed.next_line() is None
        assert typed.error is not None


async def test_read_ahead_is_bounded_in_characters(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    os.set_blocking(writing, False)
    lines = (b"x" * 20_000 + b"\n") * 1000

    async def fill(typed: Input) -> None:
        nonlocal lines
        for _ in range(100):
            with suppress(BlockingIOError):
                lines = lines[os.write(writing, lines) :]
            await trio.testing.wait_all_tasks_blocked(0.001)

    async with reading_from(reading) as typed:
        lines = lines[os.write(writing, lines) :]
        assert await typed.next_line()
        await fill(typed)
        assert BUFFERED_CHARACTERS_MAX <= sum(map(len, typed.pending)) <= BUFFERED_CHARACTERS_MAX + READ_BYTES
        assert lines, "the pipe still holds the other lines"
        while typed.pending:
            await typed.next_line()
        await fill(typed)
        assert sum(map(len, typed.pending)) >= BUFFERED_CHARACTERS_MAX, (
            "reading continues when lines are taken"
        )


# --- output -----------------------------------------------------------------------------------------


async def test_data_and_messages_have_their_own_descriptors(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    await Output(writing, -1).write_data(["one", "zwölf 🦆"])
    await Output(writing, -1).write_data([])
    assert os.read(reading, 100) == "one\nzwölf 🦆\n".encode()
    await Output(-1, writing).write_message("well?", end=" ")
    assert os.read(reading, 100) == b"well? "


async def test_only_failed_writes_of_data_raise(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    os.close(reading)
    output = Output(writing, writing)
    await output.write_message("hello?")
    with pytest.raises(BrokenPipeError):
        await output.write_data(["hello?"])


@pytest.mark.parametrize("blocking", [True, False])
async def test_a_slow_reader_blocks_the_writer_but_not_the_loop(
    pipe: tuple[int, int], blocking: bool
) -> None:
    reading, writing = pipe
    os.set_blocking(writing, blocking)
    lines = ["x" * 1000] * 1000
    got: list[bytes] = []

    def read() -> None:
        while len(b"".join(got)) < 1_001_000:
            got.append(os.read(reading, 65_536))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(Output(writing, -1).write_data, lines)
        for _ in range(100):
            await trio.lowlevel.checkpoint()
        assert nursery.child_tasks, "the writer waits, and the loop does not"
        reader = threading.Thread(target=read)
        reader.start()
    reader.join()
    assert b"".join(got) == ("x" * 1000 + "\n").encode() * 1000
