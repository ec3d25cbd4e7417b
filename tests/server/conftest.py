"""What holds for every story of a server: nothing is logged that the story did not ask for."""

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def nothing_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """A peer's fault is quiet; what is logged is a bug, or a disk. A story that wants one clears `caplog`."""
    yield
    assert [record.getMessage() for record in caplog.get_records("call")] == []
