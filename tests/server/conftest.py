"""Fixtures for all tests of the server."""

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def no_log_records(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Check that nothing was logged: only bugs and disk errors are logged, faults of a peer are counted.

    A test that expects log records clears `caplog`. Reports of refusals have a logger of their own.
    """
    yield
    records = [record for record in caplog.get_records("call") if record.name != "trio_chat.refusals"]
    assert [record.getMessage() for record in records] == []


@pytest.fixture(params=[False, True], ids=["frames", "websocket"])
def websocket(request: pytest.FixtureRequest) -> bool:
    """Run a test once for each dialect. The test passes the value on to `serving`."""
    over_websocket: bool = request.param
    return over_websocket
