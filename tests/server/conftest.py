"""What holds for every story of a server, and the two dialects that many are told in."""

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def nothing_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Look for log records: a peer's fault is only counted, what is logged is a bug, or a disk.

    A story that wants one clears `caplog`. The counts of refusals have a logger of their own.
    """
    yield
    records = [record for record in caplog.get_records("call") if record.name != "trio_chat.refusals"]
    assert [record.getMessage() for record in records] == []


@pytest.fixture(params=[False, True], ids=["frames", "websocket"])
def websocket(request: pytest.FixtureRequest) -> bool:
    """A story that takes this is told twice, and passes it on to `serving`: what is owed is owed to both."""
    over_websocket: bool = request.param
    return over_websocket
