"""The server as a process of its own: its signals, its file descriptors, its memory, its first words."""

from __future__ import annotations

import gc
import logging
import resource
import signal
import socket
from typing import TYPE_CHECKING

import trio
from platformdirs import user_data_path

from trio_chat.errors import CannotStart, JournalUnavailable
from trio_chat.journal.start_errors import may_pass
from trio_chat.net.address import is_loopback
from trio_chat.server.config import MEMORY, Config
from trio_chat.server.serve import open_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

__all__ = ["default_journal", "run_process"]

log = logging.getLogger("trio_chat.server")

SPARE_FILES = 64  # listeners, the journal, connections that are being turned away
EVERYBODY = {"0.0.0.0", "::", ""}


def default_journal() -> str:
    """The file of the user who starts the server; its directory is made. Raises `CannotStart`."""
    try:
        return str(user_data_path("trio-chat", appauthor=False, ensure_exists=True) / "journal.db")
    except OSError as error:
        where = f"{error.filename}: {error.strerror}"
        kind = JournalUnavailable if may_pass(error) else CannotStart
        raise kind(f"no place for a journal, {where}; --journal PATH names one") from error


async def run_process(config: Config, say: Callable[[str], None]) -> bool:
    """Serve until SIGTERM or SIGINT, then drain; a second one ends everything at once.

    `say` is given each line for standard output, the first being `listening on …`. Returns whether the
    server ended in good order. Raises `CannotStart`.
    """
    allow_files(config.limits.connections + SPARE_FILES)
    cannot: CannotStart | None = None
    drained = False
    try:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async with trio.open_nursery() as nursery:
                stop = trio.Event()
                nursery.start_soon(_heed, signals, stop, nursery.cancel_scope)
                async with open_server(config) as server:
                    tune_memory()
                    for line in first_words(config, server.addresses):
                        say(line)
                    await stop.wait()
                drained = True
                nursery.cancel_scope.cancel()
    except* CannotStart as group:
        (cannot,) = (error for error in group.exceptions if isinstance(error, CannotStart))
    if cannot is not None:
        raise cannot
    return drained


async def _heed(signals: AsyncIterator[int], stop: trio.Event, force: trio.CancelScope) -> None:
    """The first signal asks, the second insists."""
    async for _ in signals:
        if stop.is_set():
            force.cancel()
        stop.set()


def first_words(config: Config, addresses: Sequence[str]) -> list[str]:
    """Where the server listens, for programs and for browsers, and what becomes of what is said; and when
    others can reach it, what to tell them, and what that means."""
    words = [f"listening on {address}" for address in addresses]
    if config.web:
        words.append(f"open {_for_browsers(addresses[0])} in a browser")
    keep = config.keep
    kept = f"for {keep.words}" if keep.age_ms else keep.words
    if config.journal != MEMORY:
        words.append(f"what is said is kept {kept}, in {config.journal}")
    elif keep:
        words.append(f"what is said is kept {kept}, in memory, until the server ends")
    else:
        words.append("what is said is kept in memory, until the server ends")
    if config.host not in EVERYBODY and _only_here(config.host):
        return words
    port = addresses[0].rpartition(":")[2]
    host = lan_address() if config.host in EVERYBODY else config.host
    if host:
        place = f"{f'[{host}]' if ':' in host else host}:{port}"
        words.append(
            f"others join with: trio-chat join {place}" + (f", or open http://{place}" if config.web else "")
        )
    log.warning("anyone who can reach this address can read and join: there are no passwords")
    return words


def _for_browsers(address: str) -> str:
    """Of what listens on all addresses, the one that this machine can open."""
    return (
        address.replace("tcp://", "http://")
        .replace("//0.0.0.0:", "//127.0.0.1:")
        .replace("//[::]:", "//[::1]:")
    )


def _only_here(host: str) -> bool:
    return host == "localhost" or is_loopback(host)


def lan_address() -> str:
    """This machine's address as its network sees it; empty without a network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Chooses a route and sends nothing; the address is one reserved for examples (RFC 5737).
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return ""
        return str(probe.getsockname()[0])


def allow_files(count: int) -> None:
    """Raise the limit of open files as far as it goes; say so when that is less than `count`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count and soft != hard:
        wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    if soft < count:
        log.warning("at most %d open files (ulimit -n): room for %d connections", soft, soft - SPARE_FILES)


def tune_memory() -> None:
    """Let the garbage collector pass over a large server less often.

    Every collection of the oldest generation walks the objects of all connections. What the server makes
    per message holds no cycles, so there is little to find: what was loaded at the start is taken out of
    its view, and it looks for more only after many more allocations than the default 700.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
