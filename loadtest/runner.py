"""The run: connect all users, send messages while users disconnect and reconnect, then disconnect all.

    run()
    ├─ users           one task each, which owns its connection     user.py; ended by disconnecting
    └─ progress task   reports the progress four times a second

A phase ends when the judge expects nothing more, or when nothing has arrived for 15 seconds: a slow server
gets time, a server that has lost something does not. It also ends after five minutes, even if a server keeps
sending events that the judge does not expect.
"""

import secrets
from collections.abc import Callable, Sequence

import trio

from loadtest.pacer import LATE_S, MessagePacer
from loadtest.scenario import CannotRun, Scenario
from loadtest.stats import Latencies, Stats, ticks
from loadtest.thresholds import Threshold
from loadtest.transport import DialTransport, dial_transport
from loadtest.user import RunContext, User
from loadtest.verdict import Figures, RunResult, Series, Verdict
from trio_chat.contract import Entry, Judge
from trio_chat.errors import ChatError
from trio_chat.wire.messages import Said

__all__ = ["LAG_MS", "MISSED_SHARE", "PHASE_S_MAX", "LoadTest", "RunProgress"]

CONNECTING_MAX = 32
IDLE_S = 15.0
PHASE_S_MAX = 300.0
POLL_S = 0.05
PROGRESS_S = 0.25
# The generator kept up if it stayed within these.
LAG_MS = 250.0
MISSED_SHARE = 0.001


class RunProgress:
    """The progress of a run."""

    def __init__(self, scenario: Scenario, stats: Stats, judge: Judge) -> None:
        self.scenario = scenario
        self.stats = stats
        self.phase = "connecting"
        self.connected = 0
        self.share = 0.0
        """The completed part of the phase, from 0 to 1, where it is known."""
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
        """Compute the rates since the previous call."""
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
        dial: DialTransport = dial_transport,
        on_progress: Callable[[RunProgress], None] = lambda _: None,
        idle_s: float = IDLE_S,
        judge: Judge | None = None,
    ) -> None:
        """`tag` makes the names of users and rooms unique on a server that has other users."""
        self.scenario = scenario
        self.judge = judge or Judge(is_plain)
        self.stats = Stats()
        self.progress = RunProgress(scenario, self.stats, self.judge)
        self._on_progress = on_progress
        self._idle_s = idle_s
        context = RunContext(host, port, dial, self.judge, self.stats, secrets.token_urlsafe(6))
        self._uses_given_server = bool(tag)
        self._connected = 0  # users that have joined their rooms
        self._unsent = 0  # messages that were due while no user was connected
        end = f"-{tag}" if tag else ""
        self._users = [
            User(context, f"u{number}{end}", f"room{scenario.room_of(number)}{end}")
            for number in range(scenario.users)
        ]

    async def run(self) -> None:
        """Run all phases. Raises `CannotRun` if a user could not join. Cancelling ends all connections."""
        failures: list[ChatError] = []
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._report_progress)
                async with trio.open_nursery() as users:
                    await self._connect_users(users)
                    await self._wait_until_complete("settling")
                    await self._send_messages()
                    await self._wait_until_complete("catching up")
                    self.judge.hold_to_account()
                    self._phase("leaving")
                    for user in self._users:
                        user.disconnect("end")
                nursery.cancel_scope.cancel()
        except* ChatError as group:
            failures += _leaves(group)
        if failures:
            # One user could not join; users that were cancelled while connecting may add their own errors.
            raise next((each for each in failures if isinstance(each, CannotRun)), failures[0])
        self.judge.finish()
        self._phase("judged")
        self._on_progress(self.progress)

    @property
    def rooms(self) -> list[str]:
        """The rooms that have messages in the server's journal, as far as is known."""
        return list(dict.fromkeys(user.room for user in self._users if user.is_stored))

    def result(self, thresholds: Sequence[Threshold] = (), *, stopped: Verdict | None = None) -> RunResult:
        """Return the result; `stopped` is the verdict of a signal, for which thresholds do not count."""
        figures = self._figures()
        findings = self.judge.findings
        return RunResult(
            figures,
            {str(kind): count for kind, count in findings.counts.items()},
            findings.breaches,
            self._invalid(figures) if stopped is None else self._unfinished(),
            [
                f"{threshold.text}: {_format_value(value, threshold)}"
                for threshold in thresholds
                if stopped is None and threshold.is_missed(value := self._value(threshold, figures))
            ],
            self.rooms if self._uses_given_server else [],
            stopped,
        )

    # --- the phases -----------------------------------------------------------------------------------

    async def _connect_users(self, users: trio.Nursery) -> None:
        self._phase("connecting")
        waiting = iter(self._users)

        async def connect_next() -> None:
            for user in waiting:
                users.start_soon(user.run)
                await user.entered.wait()
                if user.failed is not None:
                    raise CannotRun(
                        f"{user.name} could not join: {user.failed}"
                        f" ({self._connected:,} of {len(self._users):,} users are connected)"
                    )
                self._connected += 1
                self.progress.connected += 1
                self.progress.share = self.progress.connected / len(self._users)

        async with trio.open_nursery() as connecting:
            for _ in range(CONNECTING_MAX):
                connecting.start_soon(connect_next)

    async def _wait_until_complete(self, phase: str) -> None:
        """Wait until the judge expects nothing more, or until nothing has arrived for too long."""
        self._phase(phase)
        last, since = -1, trio.current_time()
        until = since + PHASE_S_MAX
        while self.judge.waits_for() or not self._all_connected():
            await trio.sleep(POLL_S)
            for user in self._users:
                user.check_unexpected()
            if (seen := self.judge.facts) != last:
                last, since = seen, trio.current_time()
            elif trio.current_time() - since > self._idle_s or self._all_over():
                return
            if trio.current_time() > until:
                return

    def _all_connected(self) -> bool:
        return all(user.is_connected or user.is_over for user in self._users)

    def _all_over(self) -> bool:
        return all(user.is_over for user in self._users)

    async def _send_messages(self) -> None:
        self._phase("talking")
        start_s, verified = trio.current_time(), self.progress.deliveries
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._disconnect_users, start_s)
            try:
                await self._send_on_schedule(start_s)
                if self._all_over():
                    nursery.cancel_scope.cancel()
                await trio.sleep_until(start_s + self.scenario.duration_s)
            finally:  # also for a run that is stopped
                self.stats.sending_s = trio.current_time() - start_s
                self.stats.sending_deliveries = self.progress.deliveries - verified

    async def _send_on_schedule(self, start_s: float) -> None:
        scenario = self.scenario
        pacer = MessagePacer(scenario.rate, scenario.messages)
        senders = [self._users[number] for number in scenario.senders()]
        turn = 0
        while not pacer.is_over:
            next_s = pacer.next_due_s
            await trio.sleep_until(start_s + next_s)
            now = trio.current_time()
            # The message that the sleep waited for is due, even if float rounding says that it is early.
            for number, due_s in pacer.take_due(max(now - start_s, next_s)):
                for _ in senders:
                    user = senders[turn % len(senders)]
                    turn += 1
                    if user.is_connected:
                        user.say(number, scenario.text(number), ticks(start_s + due_s))
                        break
                else:
                    self._unsent += 1
                self.stats.lag.add((ticks(now) - ticks(start_s + due_s),))
            self.progress.share = (now - start_s) / scenario.duration_s
            is_over = self._all_over()
            if is_over:
                self._unsent += scenario.messages - pacer.next
            self.stats.missed = pacer.missed + self._unsent
            if is_over:
                return

    async def _disconnect_users(self, start_s: float) -> None:
        for trip in self.scenario.trips():
            await trio.sleep_until(start_s + trip.at_s)
            user = self._users[trip.user]
            if user.is_connected:
                self.stats.trips[trip.way] += 1
                user.disconnect(trip.way)

    # --- progress ---------------------------------------------------------------------------------------

    def _phase(self, phase: str) -> None:
        self.progress.phase = phase
        self.progress.share = 0.0

    async def _report_progress(self) -> None:
        while True:
            self.progress.connected = (
                sum(user.is_connected for user in self._users) or self.progress.connected
            )
            self.progress.measure(trio.current_time())
            self._on_progress(self.progress)
            await trio.sleep(PROGRESS_S)

    # --- the result -------------------------------------------------------------------------------------

    def _invalid(self, figures: Figures) -> list[str]:
        """Return why the run is invalid. Messages without a connected user do not count as missed."""
        reasons = []
        late = figures.missed - self._unsent
        if not figures.deliveries:
            reasons.append("nothing was delivered, so nothing was verified")
        if limited := figures.refused.get("rate_limited", 0):
            reasons.append(
                f"the server's rate limit refused {limited:,} commands: start it with --no-rate-limit"
            )
        if self._unsent > MISSED_SHARE * self.scenario.messages:
            reasons.append(
                f"no user was connected to send {self._unsent:,} of {self.scenario.messages:,} messages"
                f" ({self._first_failure() or 'raise --users or lower --disconnects'})"
            )
        if late > MISSED_SHARE * self.scenario.messages:
            reasons.append(
                f"the generator could not keep up: {late:,} of {self.scenario.messages:,} messages"
                f" were not sent within {LATE_S:g} s of their time; lower --rate or --users"
            )
        elif (lag := figures.series["lag"]).p99_ms > LAG_MS:
            reasons.append(
                f"the generator could not keep up: it was {lag.p99_ms:.0f} ms late (p99), so the latencies"
                " are its own; lower --rate or --users"
            )
        return reasons

    def _unfinished(self) -> list[str]:
        """Return in which phase a run was stopped, and why users are not connected."""
        phase = self.progress.phase
        reasons = ["stopped at its end" if phase == "judged" else f"stopped while {phase}"]
        if not self._connected:
            reasons.append(f"no user was connected ({self._first_failure() or 'no server has replied yet'})")
        elif failure := self._first_failure():
            reasons.append(failure)
        return reasons

    def _first_failure(self) -> str:
        """Return why the first failed user is not connected; empty if none has failed."""
        return next((f"{user.name}: {user.failed}" for user in self._users if user.failed is not None), "")

    def _figures(self) -> Figures:
        stats = self.stats
        seconds = stats.sending_s or self.scenario.duration_s
        return Figures(
            sent=stats.sent,
            rate=stats.sent / seconds,
            deliveries=self.progress.deliveries,
            delivery_rate=stats.sending_deliveries / seconds,
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
    """Return whether an entry is a plain text, as all entries of the users are."""
    return type(entry) is Said and not entry.action


def _leaves(group: BaseExceptionGroup[ChatError]) -> list[ChatError]:
    leaves: list[ChatError] = []
    for error in group.exceptions:
        leaves += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return leaves


def _series(latencies: Latencies) -> Series:
    p50, p90, p99, p999, most = (latencies.quantile_ms(percent) for percent in (50, 90, 99, 99.9, 100))
    return Series(latencies.count, p50, p90, p99, p999, most, latencies.mean_ms)


def _format_value(value: float, threshold: Threshold) -> str:
    return f"{value:,.10g}" if threshold.count else f"{value:.2f} ms"
