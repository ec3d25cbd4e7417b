"""The run: everybody comes, is told of everybody, talks, goes and comes back; has everything; leaves.

    run()
    ├─ users    one task each, which owns its connection        user.py; ended by leaving at the end
    └─ teller   says four times a second how far it is

A phase ends when the judge waits for nothing any more, or when nothing has come for a while: a server
that is slow has its time, one that has lost something has not. Nor has one that sends for ever what nobody
waits for: a phase ends after five minutes, whatever comes.
"""

import secrets
from collections.abc import Callable, Sequence

import trio

from loadtest.pacer import LATE_S, MessagePacer
from loadtest.scenario import CannotRun, Scenario
from loadtest.stats import Latencies, Stats, ticks
from loadtest.thresholds import Threshold
from loadtest.transport import DialLine, dial_line
from loadtest.user import User, World
from loadtest.verdict import Figures, RunResult, Series, Verdict
from trio_chat.contract import Entry, Judge
from trio_chat.errors import ChatError
from trio_chat.wire.messages import Said

__all__ = ["LAG_MS", "MISSED_SHARE", "PHASE_S_MAX", "LoadTest", "RunProgress"]

COMING_AT_ONCE = 32
PATIENCE_S = 15.0
PHASE_S_MAX = 300.0
LOOK_S = 0.05
TELL_S = 0.25
# A generator within these has kept up.
LAG_MS = 250.0
MISSED_SHARE = 0.001


class RunProgress:
    """How far a run is: for whoever shows it."""

    def __init__(self, scenario: Scenario, stats: Stats, judge: Judge) -> None:
        self.scenario = scenario
        self.stats = stats
        self.phase = "connecting"
        self.here = 0
        self.share = 0.0
        """How much of the phase is done, where that is known."""
        self.messages_per_s = 0.0
        self.deliveries_per_s = 0.0
        self._judge = judge
        self._before = (0.0, 0, 0)

    @property
    def breaches(self) -> int:
        return self._judge.breaches

    @property
    def deliveries(self) -> int:
        return sum(visit.verified for visit in self._judge.stays)

    def measure(self, now: float) -> None:
        """Set the rates since it was last called."""
        then, sent, delivered = self._before
        self._before = now, self.stats.sent, self.deliveries
        if then:
            self.messages_per_s = (self.stats.sent - sent) / (now - then)
            self.deliveries_per_s = (self._before[2] - delivered) / (now - then)


class LoadTest:
    """One run of a scenario against the server at an address."""

    def __init__(
        self,
        scenario: Scenario,
        host: str,
        port: int,
        *,
        tag: str = "",
        dial: DialLine = dial_line,
        tell: Callable[[RunProgress], None] = lambda _: None,
        patience_s: float = PATIENCE_S,
        judge: Judge | None = None,
    ) -> None:
        """`tag` goes into the names, so that they are no other's on a server that is not ours alone."""
        self.scenario = scenario
        self.judge = judge or Judge(is_plain)
        self.stats = Stats()
        self.progress = RunProgress(scenario, self.stats, self.judge)
        self._tell = tell
        self._patience_s = patience_s
        world = World(host, port, dial, self.judge, self.stats, secrets.token_urlsafe(6))
        self._is_guest = bool(tag)
        self._connected = 0  # users that have been in their rooms
        self._unsent = 0  # messages that were due while no user was connected
        end = f"-{tag}" if tag else ""
        self._users = [
            User(world, f"u{number}{end}", f"room{scenario.room_of(number)}{end}")
            for number in range(scenario.users)
        ]

    async def run(self) -> None:
        """All of it. Raises `CannotRun` when not everybody could come in; cancelling ends all connections."""
        failures: list[ChatError] = []
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._tell_all_the_time)
                async with trio.open_nursery() as users:
                    await self._come(users)
                    await self._settled("settling")
                    await self._talk()
                    await self._settled("catching up")
                    self.judge.hold_to_account()
                    self._phase("leaving")
                    for user in self._users:
                        user.go("end")
                nursery.cancel_scope.cancel()
        except* ChatError as group:
            failures += _leaves(group)
        if failures:
            # One could not come in; others, who were just coming and then cancelled, may add theirs.
            raise next((each for each in failures if isinstance(each, CannotRun)), failures[0])
        self.judge.finish()
        self._phase("judged")
        self._tell(self.progress)

    @property
    def rooms(self) -> list[str]:
        """The rooms of which the server's journal has something, as far as is known."""
        return list(dict.fromkeys(user.room for user in self._users if user.is_kept))

    def outcome(self, thresholds: Sequence[Threshold] = (), *, stopped: Verdict | None = None) -> RunResult:
        """Return what was found, until a signal stopped the run if one did: then thresholds do not count."""
        figures = self._figures()
        findings = self.judge.findings
        return RunResult(
            figures,
            {str(kind): count for kind, count in findings.counts.items()},
            findings.breaches,
            self._invalid(figures) if stopped is None else self._unfinished(),
            [
                f"{threshold.text}: {_shown(value, threshold)}"
                for threshold in thresholds
                if stopped is None and threshold.is_missed(value := self._value(threshold, figures))
            ],
            self.rooms if self._is_guest else [],
            stopped,
        )

    # --- the phases -----------------------------------------------------------------------------------

    async def _come(self, users: trio.Nursery) -> None:
        self._phase("connecting")
        waiting = iter(self._users)

        async def usher() -> None:
            for user in waiting:
                users.start_soon(user.live)
                await user.came.wait()
                if user.failed is not None:
                    raise CannotRun(
                        f"{user.name} could not come in: {user.failed}"
                        f" ({self._connected:,} of {len(self._users):,} users are connected)"
                    )
                self._connected += 1
                self.progress.here += 1
                self.progress.share = self.progress.here / len(self._users)

        async with trio.open_nursery() as ushers:
            for _ in range(COMING_AT_ONCE):
                ushers.start_soon(usher)

    async def _settled(self, phase: str) -> None:
        """Wait until the judge waits for nothing, as long as something still comes."""
        self._phase(phase)
        last, since = -1, trio.current_time()
        until = since + PHASE_S_MAX
        while self.judge.waits_for() or not self._all_back():
            await trio.sleep(LOOK_S)
            for user in self._users:
                user.look()
            if (seen := self.judge.facts) != last:
                last, since = seen, trio.current_time()
            elif trio.current_time() - since > self._patience_s or self._all_over():
                return
            if trio.current_time() > until:
                return

    def _all_back(self) -> bool:
        return all(user.is_here or user.is_over for user in self._users)

    def _all_over(self) -> bool:
        return all(user.is_over for user in self._users)

    async def _talk(self) -> None:
        self._phase("talking")
        began, verified = trio.current_time(), self.progress.deliveries
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._send_away, began)
            try:
                await self._speak(began)
                if self._all_over():
                    nursery.cancel_scope.cancel()
                await trio.sleep_until(began + self.scenario.duration_s)
            finally:  # also of a run that is stopped
                self.stats.talk_s = trio.current_time() - began
                self.stats.talked = self.progress.deliveries - verified

    async def _speak(self, began: float) -> None:
        scenario = self.scenario
        pace = MessagePacer(scenario.rate, scenario.messages)
        speakers = [self._users[number] for number in scenario.speakers()]
        turn = 0
        while not pace.is_over:
            next_s = pace.next_due_s
            await trio.sleep_until(began + next_s)
            now = trio.current_time()
            # What was slept for is due, even where the rounding of floats makes it a moment early.
            for number, due_s in pace.take(max(now - began, next_s)):
                for _ in speakers:
                    user = speakers[turn % len(speakers)]
                    turn += 1
                    if user.is_here:
                        user.say(number, scenario.text(number), ticks(began + due_s))
                        break
                else:
                    self._unsent += 1
                self.stats.lag.add((ticks(now) - ticks(began + due_s),))
            self.progress.share = (now - began) / scenario.duration_s
            is_over = self._all_over()
            if is_over:
                self._unsent += scenario.messages - pace.next
            self.stats.missed = pace.missed + self._unsent
            if is_over:
                return

    async def _send_away(self, began: float) -> None:
        for trip in self.scenario.trips():
            await trio.sleep_until(began + trip.at_s)
            user = self._users[trip.user]
            if user.is_here:
                self.stats.trips[trip.way] += 1
                user.go(trip.way)

    # --- telling --------------------------------------------------------------------------------------

    def _phase(self, phase: str) -> None:
        self.progress.phase = phase
        self.progress.share = 0.0

    async def _tell_all_the_time(self) -> None:
        while True:
            self.progress.here = sum(user.is_here for user in self._users) or self.progress.here
            self.progress.measure(trio.current_time())
            self._tell(self.progress)
            await trio.sleep(TELL_S)

    # --- what came of it ------------------------------------------------------------------------------

    def _invalid(self, figures: Figures) -> list[str]:
        """Return why the run proves nothing; the generator is to blame only for what it could have sent."""
        reasons = []
        late = figures.missed - self._unsent
        if not figures.deliveries:
            reasons.append("nothing was delivered, so that nothing is proved")
        if limited := figures.refused.get("rate_limited", 0):
            reasons.append(f"the server held us back {limited:,} times: start it with --no-rate-limit")
        if self._unsent > MISSED_SHARE * self.scenario.messages:
            reasons.append(
                f"no user was connected to send {self._unsent:,} of {self.scenario.messages:,} messages"
                f" ({self._first_failure() or 'raise --users or lower --disconnects'})"
            )
        if late > MISSED_SHARE * self.scenario.messages:
            reasons.append(
                f"the generator could not keep up: {late:,} of {self.scenario.messages:,} messages"
                f" were not started within {LATE_S:g} s of their time; lower --rate or --users"
            )
        elif (lag := figures.series["lag"]).p99_ms > LAG_MS:
            reasons.append(
                f"the generator could not keep up: it was {lag.p99_ms:.0f} ms late (p99), so that it measured"
                " itself; lower --rate or --users"
            )
        return reasons

    def _unfinished(self) -> list[str]:
        """Return why a run that was stopped proves nothing."""
        phase = self.progress.phase
        reasons = ["stopped at its end" if phase == "judged" else f"stopped while {phase}"]
        if not self._connected:
            reasons.append(f"no user was connected ({self._first_failure() or 'no server has answered yet'})")
        elif failure := self._first_failure():
            reasons.append(failure)
        return reasons

    def _first_failure(self) -> str:
        """Return why a user is not connected, if one has failed: the first of them."""
        return next((f"{user.name}: {user.failed}" for user in self._users if user.failed is not None), "")

    def _figures(self) -> Figures:
        stats = self.stats
        seconds = stats.talk_s or self.scenario.duration_s
        return Figures(
            sent=stats.sent,
            rate=stats.sent / seconds,
            deliveries=self.progress.deliveries,
            delivery_rate=stats.talked / seconds,
            missed=stats.missed,
            again=stats.again,
            gaps=sum(visit.gaps for visit in self.judge.stays),
            refused=dict(stats.refused),
            trips=dict(stats.trips),
            series={name: _series(getattr(stats, name)) for name in ("delivery", "ack", "lag")},
        )

    def _value(self, threshold: Threshold, figures: Figures) -> float:
        if threshold.count == "refused":
            return sum(figures.refused.values())
        if threshold.count:
            return float(getattr(figures, threshold.count))
        latencies: Latencies = getattr(self.stats, threshold.series)
        if threshold.percent is None:
            return latencies.mean_ms
        return latencies.quantile_ms(threshold.percent)


def is_plain(entry: Entry) -> bool:
    """All that the users say are texts: no topics, and none as an action."""
    return type(entry) is Said and not entry.action


def _leaves(group: BaseExceptionGroup[ChatError]) -> list[ChatError]:
    leaves: list[ChatError] = []
    for error in group.exceptions:
        leaves += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return leaves


def _series(latencies: Latencies) -> Series:
    p50, p90, p99, p999, most = (latencies.quantile_ms(percent) for percent in (50, 90, 99, 99.9, 100))
    return Series(latencies.count, p50, p90, p99, p999, most, latencies.mean_ms)


def _shown(value: float, threshold: Threshold) -> str:
    return f"{value:,.10g}" if threshold.count else f"{value:.2f} ms"
