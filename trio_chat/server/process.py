"""Run the server as a process: signals, the limit of open files, garbage collection, start-up messages."""

from __future__ import annotations

import gc
import logging
import resource
import socket
from ipaddress import IPv6Address
from pathlib import Path
from typing import TYPE_CHECKING

import trio
from platformdirs import user_data_path

from trio_chat.errors import CannotStart, JournalUnavailable
from trio_chat.journal.start_errors import is_temporary
from trio_chat.net.address import is_loopback, is_unspecified, parse_address
from trio_chat.server.config import MEMORY, Config
from trio_chat.server.serve import open_server
from trio_chat.server.signals import SignalCount, hold_signals

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

__all__ = ["default_journal", "run_process"]

log = logging.getLogger("trio_chat.server")

SPARE_FILES = 64  # listeners, the journal, connections that are being rejected
FILES_MIN = 32  # with fewer the journal's readers cannot open it, or modules cannot be imported


def default_journal() -> str:
    """Return the default journal file of this user, and create its directory. Raises `CannotStart`."""
    try:
        folder = user_data_path("trio-chat", appauthor=False)
    except RuntimeError:
        folder = Path("~")
    if not folder.is_absolute():  # older releases of platformdirs leave the `~` as it is
        raise CannotStart("cannot choose a journal file: HOME is not set; set --journal PATH")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return str(folder / "journal.db")
    except OSError as error:
        where = f"{error.filename}: {error.strerror}"
        kind = JournalUnavailable if is_temporary(error) else CannotStart
        raise kind(f"cannot create the journal's directory: {where}; set --journal PATH") from error


async def run_process(config: Config, say: Callable[[Sequence[str]], None]) -> bool:
    """Serve until a signal, then drain; `signals.py` says which signals do what.

    `say` gets the lines for standard output; the first is `listening on …`. A signal before the server
    listens ends it without these lines. Return whether the server drained. In both cases further signals are
    ignored until the process ends. Raises `CannotStart`.
    """
    allow_files(config.limits.connections + SPARE_FILES)
    cannot: CannotStart | None = None
    drained = False
    stop = _Stop()
    try:
        with hold_signals() as held, trio.open_signal_receiver(*held.numbers) as signals:
            async with trio.open_nursery() as nursery:
                stop.force = nursery.cancel_scope
                nursery.start_soon(stop.watch, signals)
                if held.received:
                    stop.ask()
                async with open_server(config) as server:
                    # Opening the journal cannot be cancelled: it returns even after a signal.
                    await trio.lowlevel.checkpoint_if_cancelled()
                    stop.is_serving = True
                    tune_memory()
                    say(startup_lines(config, server.addresses))
                    await stop.asked.wait()
                drained = True
                nursery.cancel_scope.cancel()
            held.is_over = True
    except* CannotStart as group:
        (cannot,) = (error for error in group.exceptions if isinstance(error, CannotStart))
    if cannot is not None:
        raise cannot
    return drained or not stop.is_serving


class _Stop:
    """The stop of the server: asked for, or forced by cancelling `force`, the scope around the server."""

    def __init__(self) -> None:
        self.asked = trio.Event()
        self.force = trio.CancelScope()
        self.is_serving = False
        self._count = SignalCount()

    async def watch(self, signals: AsyncIterator[int]) -> None:
        async for number in signals:
            if self._count.forces(number, trio.current_time()):
                self.force.cancel()
            self.ask()

    def ask(self) -> None:
        """Ask for a drain. A server that does not listen yet has nothing to drain and ends at once."""
        self.asked.set()
        if not self.is_serving:
            self.force.cancel()


def startup_lines(config: Config, addresses: Sequence[str]) -> list[str]:
    """Return the start-up messages: the addresses, the URL for a browser, and how long messages are kept.

    If other machines can reach the server, add the command for joining from there, and log a warning.
    """
    lines = [f"listening on {address}" for address in addresses]
    hosts = [_host(address) for address in addresses]
    local = next((host for host in map(_reachable_locally, hosts) if host), "")
    port = addresses[0].rpartition(":")[2]
    if config.web and local:
        lines.append(f"open http://{_authority(local, port)} in a browser")
    keep = config.keep
    kept = f"for {keep.text}" if keep.age_ms else keep.text
    if config.journal != MEMORY:
        lines.append(f"messages are kept {kept}, in {config.journal}")
    elif keep:
        lines.append(f"messages are kept {kept}, in memory, until the server ends")
    else:
        lines.append("messages are kept in memory, until the server ends")
    if all(_is_only_local(host) for host in hosts):
        return lines
    if host := _reachable_for_others(hosts):
        authority = _authority(host, port)
        page = f", or open http://{authority}" if config.web and "%" not in host else ""
        lines.append(f"others join with: trio-chat join {authority}{page}")
    log.warning("anyone who can reach this address can read and join: there are no passwords")
    return lines


def _host(address: str) -> str:
    return address.removeprefix("tcp://").rpartition(":")[0].strip("[]")


def _authority(host: str, port: str) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _is_only_local(host: str) -> bool:
    return host == "localhost" or is_loopback(host)


def _reachable_locally(host: str) -> str:
    """Return the host for a browser on this machine; empty for a link-local host, which a URL cannot name."""
    if "%" in host:
        return ""
    if not is_unspecified(host):
        return host
    # If IPv6 is off for an interface, a socket can still listen on ::, and accepts IPv4.
    return "::1" if _is_ipv6(host) and source_address("::1") else "127.0.0.1"


def _is_ipv6(host: str) -> bool:
    return isinstance(parse_address(host), IPv6Address)


def _reachable_for_others(hosts: Sequence[str]) -> str:
    """Return the host for other machines: an address, since the server refuses unknown names."""
    if any(is_unspecified(host) for host in hosts):
        return lan_address(has_ipv6=any(map(_is_ipv6, hosts)))
    host = next(host for host in hosts if not _is_only_local(host))
    if "%" in host:
        # The zone is the name of an interface, which differs between machines.
        return f"{host.partition('%')[0]}%INTERFACE"
    return host


def lan_address(*, has_ipv6: bool = False) -> str:
    """Return this machine's address in its network, preferring IPv4; empty without a network."""
    found = source_address("192.0.2.1") or (source_address("2001:db8::1") if has_ipv6 else "")
    return "" if is_loopback(found) or "%" in found else found


def source_address(to: str) -> str:
    """Return the address from which this machine sends to another address; empty without a route."""
    family = socket.AF_INET6 if ":" in to else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            # This chooses a route and sends nothing. The remote addresses used are reserved for examples.
            probe.connect((to, 9))
            return str(probe.getsockname()[0])
    except OSError:
        return ""


def allow_files(count: int) -> None:
    """Raise the limit of open files towards `count`; log a warning if the system allows fewer.

    Raises `CannotStart` if a server cannot work with so few.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count and soft != hard:
        limit = count if hard == resource.RLIM_INFINITY else min(count, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
        soft = limit
    if soft < FILES_MIN:
        raise CannotStart(f"cannot start: at most {soft} open files; raise the limit (ulimit -n) to {count}")
    if soft < count:
        possible = f"enough for {soft - SPARE_FILES}" if soft > SPARE_FILES else "too few for many"
        log.warning(
            "at most %d open files: %s connections; raise the limit (ulimit -n) to %d, or lower"
            " --max-connections",
            soft,
            possible,
            count,
        )


def tune_memory() -> None:
    """Run the garbage collector less often.

    Each collection of the oldest generation visits the objects of all connections. The objects that are made
    per message have no cycles, so there is little to collect. The objects loaded at the start are frozen, and
    a collection starts only after many more allocations than the default 700.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
