"""The task tree as text."""

import re
import sys

import trio
from trio.testing import wait_all_tasks_blocked

from trio_chat.testing.tree import awaited, calling, task_tree

_HERE = "tests/testing/test_tree.py"


async def reader(door: trio.Event) -> None:
    await door.wait()


async def writer(lock: trio.Lock) -> None:
    async with lock:
        pass


async def keeper(doors: list[trio.Event]) -> None:
    async with trio.open_nursery() as outer:
        outer.start_soon(reader, doors[0])
        outer.start_soon(reader, doors[0])
        async with trio.open_nursery() as inner:
            inner.start_soon(reader, doors[1], name="the other door")
            await trio.lowlevel.checkpoint()


def parts(tree: str) -> list[list[str]]:
    """The columns of each line: the drawing, the place without the line's number, the source."""
    return [
        re.split(r" {2,}(?=tests/|trio/)|(?<=:)\d+ +", line.replace(f"{__name__}.", ""))
        for line in tree.splitlines()
    ]


def test_the_drawing() -> None:
    """A line for each task, in the order of their birth; nurseries where there are two."""
    trees: list[str] = []

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            doors, lock = [trio.Event(), trio.Event()], trio.Lock()
            await lock.acquire()
            nursery.start_soon(keeper, doors)
            nursery.start_soon(writer, lock)
            nursery.start_soon(trio.sleep, 5)
            await wait_all_tasks_blocked()
            trees.append(task_tree())
            nursery.cancel_scope.cancel()

    trio.run(main)
    *ours, trios = parts(trees[0])
    assert ours == [
        ["test_the_drawing.<locals>.main", f"{_HERE}:", "trees.append(task_tree())"],
        ["├─ keeper", f"{_HERE}:", "async with trio.open_nursery() as inner:"],
        ["│  ├─ nursery 1"],
        ["│  │  └─ reader ×2", f"{_HERE}:", "await door.wait()"],
        ["│  └─ nursery 2"],
        ["│     └─ the other door", f"{_HERE}:", "await door.wait()"],
        ["├─ writer", f"{_HERE}:", "async with lock:"],
    ]
    assert trios[:2] == ["└─ trio.sleep", "trio/_timeouts.py:"]


def test_a_line_is_the_programs_and_is_found_from_here() -> None:
    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(reader, trio.Event())
            nursery.start_soon(trio.sleep, 1)
            await wait_all_tasks_blocked()
            lines = sorted(awaited(task) for task in nursery.child_tasks)
            nursery.cancel_scope.cancel()
        number = reader.__code__.co_firstlineno + 1
        assert lines[0] == f"{_HERE}:{number}  await door.wait()"
        assert re.fullmatch(r"trio/_timeouts\.py:\d+  await \S+\(.*\)", lines[1])

    trio.run(main)


def test_tasks_stand_in_the_order_of_their_birth() -> None:
    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for nth in range(20):
                nursery.start_soon(reader, trio.Event(), name=f"task {nth}")
            await wait_all_tasks_blocked()
            assert re.findall(r"task (\d+)", task_tree()) == [f"{nth}" for nth in range(20)]
            nursery.cancel_scope.cancel()

    trio.run(main)


def test_where_a_call_comes_from_is_a_line_of_the_program() -> None:
    frames = []

    def note() -> None:
        frames.append(sys._getframe(1))

    list(map(lambda _: note(), "a"))  # noqa: C417  # a frame of this file, by way of a builtin
    (frame,) = frames
    assert calling(frame).startswith(f"{_HERE}:{frame.f_lineno}  list(map(")
    assert calling(None) == ""


async def test_a_deadlock_shows_itself() -> None:
    """Two tasks take two locks, each the other first: the tree tells the two lines."""
    fork, knife = trio.Lock(), trio.Lock()

    async def eats_first_with(left: trio.Lock, right: trio.Lock) -> None:
        async with left:
            await trio.lowlevel.checkpoint()
            async with right:
                pass

    async with trio.open_nursery() as nursery:
        nursery.start_soon(eats_first_with, fork, knife)
        nursery.start_soon(eats_first_with, knife, fork)
        await wait_all_tasks_blocked()
        tree = task_tree()
        nursery.cancel_scope.cancel()
    assert re.search(r"eats_first_with ×2 .* async with right:$", tree, re.MULTILINE)
