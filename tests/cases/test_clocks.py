"""A wall clock that is wrong for a while: libfaketime changes it while `serve` runs."""

import re
import time
from pathlib import Path

import pytest

from tests.cases.commands import Server, environment, run, serve

LIBRARIES = (
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib64/faketime/libfaketimeMT.so.1",
)
LIBRARY = next((path for path in LIBRARIES if Path(path).exists()), None)
YEAR_MS = 31_557_600_000

pytestmark = pytest.mark.skipif(LIBRARY is None, reason="needs libfaketime: apt-get install libfaketime")


class Clock:
    """The wall clock of a server process; its monotonic clocks are not changed."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / "clock"
        self.set("+0")

    def set(self, offset: str) -> None:
        """Set the clock ahead by an offset such as `+3650d`."""
        new = self._file.with_suffix(".new")
        new.write_text(offset)
        new.replace(self._file)

    def environment(self, home: Path) -> dict[str, str]:
        assert LIBRARY is not None
        return environment(
            home,
            LD_PRELOAD=LIBRARY,
            FAKETIME_TIMESTAMP_FILE=str(self._file),
            FAKETIME_NO_CACHE="1",
            FAKETIME_DONT_FAKE_MONOTONIC="1",
        )


def say(home: Path, server: Server, text: str, room: str = "lobby") -> None:
    done = run(
        home, "join", f"x@{server.address}", "--room", room, "--tokens", "none", stdin=f"{text}\n".encode()
    )
    assert done.returncode == 0, done.stderr


def years_ahead(home: Path, journal: Path) -> dict[str, float]:
    """Return how many years in the future the time of each text is."""
    exported = run(home, "journal", "export", "--journal", str(journal)).stdout.decode()
    now_ms = time.time() * 1_000
    return {
        text: round((int(at) - now_ms) / YEAR_MS, 1)
        for at, text in re.findall(r'"at":(\d+),"by":"x","text":"(\w+)"', exported)
    }


def test_ten_years_ahead_for_one_message_are_in_no_stamp_and_forget_nothing(tmp_path: Path) -> None:
    clock, journal = Clock(tmp_path), tmp_path / "j.db"
    with serve(
        tmp_path, "--journal", str(journal), "--keep", "90d", env=clock.environment(tmp_path)
    ) as server:
        say(tmp_path, server, "before")
        clock.set("+3650d")
        say(tmp_path, server, "ahead")
        clock.set("-3650d")
        say(tmp_path, server, "behind")
        clock.set("+0")
        say(tmp_path, server, "after")
        assert server.stop() == 0
    assert years_ahead(tmp_path, journal) == dict.fromkeys(["before", "ahead", "behind", "after"], 0.0)


def test_a_server_that_starts_ten_years_ahead_forgets_nothing_and_its_room_can_be_corrected(
    tmp_path: Path,
) -> None:
    clock, journal, log = Clock(tmp_path), tmp_path / "j.db", tmp_path / "log"
    options = ["--journal", str(journal), "--keep", "90d"]
    with serve(tmp_path, *options) as server:
        say(tmp_path, server, "before")
        assert server.stop() == 0
    clock.set("+3650d")
    with (
        log.open("wb") as file,
        serve(tmp_path, *options, env=clock.environment(tmp_path), stderr=file) as server,
    ):
        say(tmp_path, server, "ahead")
        say(tmp_path, server, "quiet", "attic")
        assert server.stop() == 0
    assert "entries older than 90d are not removed yet" in log.read_text()
    assert years_ahead(tmp_path, journal) == {"before": 0.0, "ahead": 10.0, "quiet": 10.0}
    with log.open("wb") as file, serve(tmp_path, *options, stderr=file) as server:
        say(tmp_path, server, "after")
        assert server.stop() == 0
    warning = log.read_text()
    assert "rooms lobby, attic: the newest entry is in the future" in warning or (
        "rooms attic, lobby: the newest entry is in the future" in warning
    )
    assert "--room lobby" in warning and "is in the future. The server waits until" in warning
    done = run(tmp_path, "journal", "retime", "--journal", str(journal), "--room", "lobby", "--room", "attic")
    assert done.returncode == 0 and done.stdout.startswith(b"lobby: 2 to 3 were moved back by 36")
    assert years_ahead(tmp_path, journal) == {"before": 0.0, "ahead": 0.0, "after": 0.0, "quiet": 0.0}
    assert run(tmp_path, "journal", "check", "--journal", str(journal)).returncode == 0
    with log.open("wb") as file, serve(tmp_path, *options, stderr=file) as server:
        say(tmp_path, server, "later")
        assert server.stop() == 0
    assert "future" not in log.read_text()
