"""One attack on one server: a quiet phase, the attack, and the time after it, all with the same witnesses."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.errors import BenchError
from tests.bench.process import ServerProcess
from tests.siege.attack import Attack
from tests.siege.errors import SiegeError
from tests.siege.plan import Plan
from tests.siege.processes import Attacker, Chatter, Witnesses, wait_for_end
from tests.siege.verdict import Bounds, Measurement, judge, memory_max_kib

__all__ = ["Outcome", "Stage", "run_attack", "server_options"]

PREPARE_S = 60.0
RESULT_S = 20.0
POLL_S = 0.1
HELP_S = 60.0
LOG_SHOWN = 200


@dataclass(frozen=True)
class Stage:
    """Where the siege runs, and how it starts a server. Cores are None on a machine with only one."""

    serve: Sequence[str]
    server_core: int | None
    driver_core: int | None
    say: Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """An attack, what was measured, and what was wrong; `left_out` says why it was not run."""

    attack: Attack
    measurement: Measurement | None = None
    faults: Sequence[str] = ()
    left_out: str = ""
    tries: int = 1

    @property
    def red(self) -> bool:
        return bool(self.faults)


def server_options(serve: Sequence[str]) -> str:
    """Return the help of the server's command: what it lists decides which attacks are possible."""
    try:
        done = subprocess.run([*serve, "--help"], capture_output=True, text=True, timeout=HELP_S, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise SiegeError(f"cannot run {' '.join(serve)} --help: {error}") from error
    return done.stdout


def run_attack(attack: Attack, plan: Plan, bounds: Bounds, stage: Stage) -> Outcome:
    """Run one attack, again if it came out red and the plan says so. An attack that cannot be run is red."""
    outcome = Outcome(attack)
    for number in range(1, plan.retries + 2):
        try:
            measurement = _Siege(attack, plan, bounds, stage).run()
            outcome = Outcome(attack, measurement, judge(attack, measurement, bounds), tries=number)
        except (BenchError, SiegeError) as error:
            outcome = Outcome(attack, faults=[str(error)], tries=number)
        if not outcome.red:
            break
        for fault in outcome.faults:
            stage.say(f"{attack.name}, try {number}: {fault}")
    return outcome


@dataclass
class _Marks:
    """Moments on the monotonic clock, and what the attacker reports at its end."""

    quiet: float = 0.0
    prepare: float = 0.0
    attack: float = 0.0
    teardown: float = 0.0
    after: float = 0.0
    end: float = 0.0
    counts: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    stop_s: float | None = None


class _Siege:
    """One try of one attack."""

    def __init__(self, attack: Attack, plan: Plan, bounds: Bounds, stage: Stage) -> None:
        self._attack = attack
        self._plan = plan
        self._bounds = bounds
        self._stage = stage
        self._marks = _Marks()
        self._seconds = max(plan.attack_s, attack.seconds_min)
        self._before_kib = self._peak_kib = self._after_kib = 0
        self._server_gone = False

    def run(self) -> Measurement:
        attack, stage = self._attack, self._stage
        with tempfile.TemporaryDirectory(prefix="siege-") as folder, ExitStack() as stack:
            log_path = Path(folder, "server.log")
            journal = str(Path(folder, "journal.db")) if attack.journal == "file" else "memory"
            command = [*stage.serve, "--port=0", f"--journal={journal}", *attack.options]
            log = stack.enter_context(log_path.open("wb"))
            server = stack.enter_context(ServerProcess.running(command, stage.server_core, stderr=log))
            stack.callback(_resume, server.pid)  # an attack may have stopped it, and not got round to this
            witnesses = stack.enter_context(Witnesses.chatting(server, stage.driver_core))
            self._quiet(server)
            with Attacker.attacking(
                attack,
                server,
                stage.driver_core,
                seconds=self._seconds + (self._bounds.stop_s + RESULT_S if attack.stops_server else 0.0),
                quick=self._plan.quick,
                journal=journal,
            ) as attacker:
                self._under_attack(server, attacker, witnesses)
            if not attack.stops_server:
                self._recover(server)
            chatter = witnesses.finish()
            return self._measurement(chatter, log_path.read_text(errors="replace"))

    def _quiet(self, server: ServerProcess) -> None:
        time.sleep(self._plan.settle_s)  # the first lines find everything cold
        self._before_kib = self._peak_kib = server.rss_kib()
        self._marks.quiet = time.monotonic()
        time.sleep(self._plan.quiet_s)

    def _under_attack(self, server: ServerProcess, attacker: Attacker, witnesses: Witnesses) -> None:
        marks = self._marks
        marks.prepare = time.monotonic()
        marks.attack = float(self._watched_line(server, attacker, PREPARE_S).removeprefix("begin "))
        if self._attack.stops_server:
            time.sleep(max(marks.attack + self._seconds - time.monotonic(), 0.0))
            witnesses.announce_drain()
            marks.teardown = marks.after = marks.end = time.monotonic()
            os.kill(server.pid, signal.SIGTERM)
            if ended := wait_for_end(server.pid, self._bounds.stop_s + 1.0):
                marks.stop_s, status = ended
                if status:
                    marks.faults.append(f"the server ended with status {status}, expected 0")
            return
        line = self._watched_line(server, attacker, self._seconds + RESULT_S)
        marks.teardown = float(line.removeprefix("end "))
        report = json.loads(attacker.required_line(PREPARE_S))
        marks.counts, marks.faults = report["counts"], report["faults"]

    def _watched_line(self, server: ServerProcess, attacker: Attacker, seconds: float) -> str:
        """Wait for a line of the attacker, with an eye on the server's memory."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            line = attacker.line(time.monotonic() + POLL_S)
            self._peak_kib = max(self._peak_kib, self._memory_kib(server))
            if line is not None:
                return line
        raise SiegeError(f"cannot go on: {self._attack.name} printed nothing for {seconds:.0f} s")

    def _memory_kib(self, server: ServerProcess) -> int:
        """Return the server's memory. A server that is gone has none, and that is a fault."""
        try:
            return server.rss_kib()
        except (BenchError, OSError):
            self._server_gone = True
            return 0

    def _recover(self, server: ServerProcess) -> None:
        """Wait until the memory has returned and the after phase is over."""
        time.sleep(self._plan.settle_s)
        self._marks.after = began = time.monotonic()
        allowed = memory_max_kib(self._attack, self._before_kib, self._bounds)
        while True:
            time.sleep(POLL_S)
            took = time.monotonic() - began
            self._after_kib = self._memory_kib(server)
            settled = took > self._plan.after_s and self._after_kib <= allowed
            if settled or took > max(self._plan.memory_s, self._plan.after_s):
                break
        self._marks.end = time.monotonic()

    def _measurement(self, chatter: Chatter, log: str) -> Measurement:
        marks = self._marks
        faults = [*chatter.faults, *marks.faults]
        if self._server_gone:
            faults.append("the server's process ended under attack")
        if "Traceback" in log:
            faults.append(f"the server logged a traceback: {log.strip().splitlines()[-1][:LOG_SHOWN]}")
        return Measurement(
            quiet=chatter.phase(marks.quiet, marks.prepare),
            prepare=chatter.phase(marks.prepare, marks.attack),
            attack=chatter.phase(marks.attack, marks.teardown),
            teardown=chatter.phase(marks.teardown, marks.after),
            after=chatter.phase(marks.after, marks.end),
            memory_before_kib=self._before_kib,
            memory_peak_kib=self._peak_kib,
            memory_after_kib=self._after_kib,
            faults=faults,
            stop_s=marks.stop_s,
            late_s=chatter.late_s,
            counts=marks.counts,
        )


def _resume(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)
