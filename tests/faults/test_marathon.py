"""A server is killed while real members talk, and they reconnect (row 36 of the table of faults).

The short form; `nox -s marathon` kills a server ten times, with two hundred members.
"""

from pathlib import Path
from random import Random

import trio

from tests.faults.marathon import differences, run
from tests.faults.talker import Talker
from tests.patience import PATIENCE_S
from trio_chat.contract import Judge


async def test_a_killed_server_loses_duplicates_and_reorders_nothing(tmp_path: Path) -> None:
    with trio.fail_after(PATIENCE_S):
        result = await run(tmp_path / "journal.db", members=25, kills=2, random=Random(0))
    assert (result.breaches, result.wrong) == ([], [])
    assert result.exit_status == 0
    assert result.outages >= 2 * 25, "every kill disconnected every member"
    assert result.said == result.kept
    assert result.deliveries == 25 * result.said


def test_differences_between_file_and_acks_are_found() -> None:
    talker = Talker(Judge(), "ada", Random(0))
    talker.said = 2
    talker.acks = {"one": 1, "two": 2}
    assert differences(["one", "two"], [talker]) == []
    assert differences(["two", "one"], [talker]) == [
        "'one' was acked as 1, and is there as 2",
        "'two' was acked as 2, and is there as 1",
    ]
    assert differences(["one"], [talker]) == ["'two' was acked as 2, and is there as None"]
    assert "'one' is there as 1 and as 3" in differences(["one", "two", "one"], [talker])
    assert differences(["one", "two", "three"], [talker]) == ["3 texts are there, and 2 were said"]
