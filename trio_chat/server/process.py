"""The server as a process: signals, file descriptors, memory, and its first lines of output."""

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

SPARE_FILES = 64  # listeners, the journal, connections that are being refused
FILES_MIN = 32  # with fewer the journal's readers cannot open it, or modules cannot be imported


def default_journal() -> str:
    """Return the path of the user's journal and create its directory. Raises `CannotStart`."""
    try:
        folder = user_data_path("trio-chat", appauthor=False)
    except RuntimeError:
        folder = Path("~")
    if not folder.is_absolute():  # older releases of platformdirs leave the `~` as it is
        raise CannotStart(
            "cannot find a directory for the journal: HOME is not set; --journal PATH names the file"
        )
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return str(folder / "journal.db")
    except OSError as error:
        where = f"{error.filename}: {error.strerror}"
        kind = JournalUnavailable if is_temporary(error) else CannotStart
        raise kind(
            f"cannot create a directory for the journal: {where}; --journal PATH names another file"
        ) from error


async def run_process(config: Config, say: Callable[[Sequence[str]], None]) -> bool:
    """Serve until a signal, then drain; `signals.py` says which signals do what.

    `say` gets the lines for standard output; the first is `listening on …`. A signal before the server
    listens ends it without them. Return whether the server has drained. Further signals are ignored until the
    process ends. Raises `CannotStart`.
    """
    allow_files(config.limits.connections + SPARE_FILES)
    cannot: CannotStart | None = None
    drained = False
    stop = _Stop()
    try:
        with hold_signals() as held, trio.open_signal_receiver(*held.numbers) as signals:
            async with trio.open_nursery() as nursery:
                stop.force = nursery.cancel_scope
                nursery.start_soon(stop.heed, signals)
                if held.received:
                    stop.ask()
                async with open_server(config) as server:
                    # Opening the journal cannot be cancelled; a signal may have arrived meanwhile.
                    await trio.lowlevel.checkpoint_if_cancelled()
                    stop.is_serving = True
                    tune_memory()
                    say(first_lines(config, server.addresses))
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
    """The end of the server: `asked` starts a drain, cancelling `force` ends everything at once."""

    def __init__(self) -> None:
        self.asked = trio.Event()
        self.force = trio.CancelScope()
        self.is_serving = False
        self._insistence = SignalCount()

    async def heed(self, signals: AsyncIterator[int]) -> None:
        async for number in signals:
            if self._insistence.insists(number, trio.current_time()):
                self.force.cancel()
            self.ask()

    def ask(self) -> None:
        """Ask for a drain. A server that does not listen yet is ended at once."""
        self.asked.set()
        if not self.is_serving:
            self.force.cancel()


def first_lines(config: Config, addresses: Sequence[str]) -> list[str]:
    """Return the first lines of output: the addresses for programs and browsers, how long messages are kept,
    and, if other machines can reach the server, how others join."""
    words = [f"listening on {address}" for address in addresses]
    hosts = [_host(address) for address in addresses]
    here = next((host for host in map(_reachable_here, hosts) if host), "")
    port = addresses[0].rpartition(":")[2]
    if config.web and here:
        words.append(f"open http://{_place(here, port)} in a browser")
    keep = config.keep
    kept = f"for {keep.text}" if keep.age_ms else keep.text
    if config.journal != MEMORY:
        words.append(f"messages are kept {kept} in {config.journal}")
    elif keep:
        words.append(f"messages are kept {kept} in memory until the server ends")
    else:
        words.append("messages are kept in memory until the server ends")
    if all(_is_only_here(host) for host in hosts):
        return words
    if host := _reachable_for_others(hosts):
        place = _place(host, port)
        page = f", or open http://{place}" if config.web and "%" not in host else ""
        words.append(f"others join with: trio-chat join {place}{page}")
    log.warning("anyone who can reach this address can read and join: there are no passwords")
    return words


def _host(address: str) -> str:
    return address.removeprefix("tcp://").rpartition(":")[0].strip("[]")


def _place(host: str, port: str) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _is_only_here(host: str) -> bool:
    return host == "localhost" or is_loopback(host)


def _reachable_here(host: str) -> str:
    """Return the host for a browser on this machine; empty for a link-local one, which URLs cannot
    contain."""
    if "%" in host:
        return ""
    if not is_unspecified(host):
        return host
    # A socket can listen on :: also where IPv6 is off for an interface; it accepts IPv4 then.
    return "::1" if _is_ipv6(host) and source_address("::1") else "127.0.0.1"


def _is_ipv6(host: str) -> bool:
    return isinstance(parse_address(host), IPv6Address)


def _reachable_for_others(hosts: Sequence[str]) -> str:
    """Return the host for other machines: an address, because the page is not served for every name."""
    if any(is_unspecified(host) for host in hosts):
        return lan_address(has_ipv6=any(map(_is_ipv6, hosts)))
    host = next(host for host in hosts if not _is_only_here(host))
    if "%" in host:
        # The zone is an interface's name, which differs between machines.
        return f"{host.partition('%')[0]}%INTERFACE"
    return host


def lan_address(*, has_ipv6: bool = False) -> str:
    """Return this machine's address in its network, preferring IPv4; empty without a network."""
    found = source_address("192.0.2.1") or (source_address("2001:db8::1") if has_ipv6 else "")
    return "" if is_loopback(found) or "%" in found else found


def source_address(to: str) -> str:
    """Return the address from which this machine sends to another one; empty without a route."""
    family = socket.AF_INET6 if ":" in to else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            # This chooses a route and sends no packet; the callers use addresses reserved for examples.
            probe.connect((to, 9))
            return str(probe.getsockname()[0])
    except OSError:
        return ""


def allow_files(count: int) -> None:
    """Raise the limit of open files as far as possible; warn if it is less than `count`.

    Raises `CannotStart` if it is too low for any server.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count and soft != hard:
        wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    if soft < FILES_MIN:
        raise CannotStart(f"cannot start: at most {soft} open files; raise the limit (ulimit -n) to {count}")
    if soft < count:
        room = f"room for {soft - SPARE_FILES}" if soft > SPARE_FILES else "hardly any room for"
        log.warning(
            "at most %d open files: %s connections; raise the limit (ulimit -n) to %d, or lower"
            " --max-connections",
            soft,
            room,
            count,
        )


def tune_memory() -> None:
    """Make the garbage collector run less often.

    Every collection of the oldest generation walks the objects of all connections. The objects of a message
    have no cycles, so there is little to collect. The objects loaded at the start are frozen, and a
    collection starts after many more allocations than the default 700.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
