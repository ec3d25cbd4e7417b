"""What is typed after `trio-chat loadtest`: an address, a share."""

import re

from trio_chat.client.address import parse_address as parse_url
from trio_chat.errors import CannotConnect

__all__ = ["PORT", "parse_address", "parse_share", "shown", "shown_server"]

PORT = 5555
_ADDRESS = re.compile(r"(?:\[([^][]+)\]|([^][:\s]+))(?::([0-9]{1,5}))?", re.ASCII)


def parse_address(text: str) -> tuple[str, int] | None:
    """`HOST`, `HOST:PORT` or `[HOST]:PORT`; None for nothing at all. Raises `ValueError`.

    A URL, such as `ws://HOST:PORT`, stands in place of the host, as `connect` takes it.
    """
    if not text:
        return None
    if "://" in text:
        try:
            parse_url(text, PORT)
        except CannotConnect as error:
            raise ValueError(str(error)) from error
        return text, PORT
    found = _ADDRESS.fullmatch(text)
    port = int(found[3] or PORT) if found else 0
    if found is None or not 0 < port < 65_536:
        raise ValueError(f"{text!r} is no address: it looks like 127.0.0.1:{PORT}")
    return found[1] or found[2], port


def shown(host: str, port: int) -> str:
    """An address as it was typed, or could have been."""
    if "://" in host:
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def shown_server(address: tuple[str, int] | None) -> str:
    """Return how a report names the server: its address, or that it was started for the run."""
    return shown(*address) if address is not None else "a server of its own"


def parse_share(text: str) -> float:
    """`10%` or `0.1`, as a share of one. Raises `ValueError`."""
    number, percent, rest = text.strip().partition("%")
    try:
        share = float(number) / (100 if percent else 1)
    except ValueError:
        share = -1.0
    if rest or not 0 <= share <= 1:
        raise ValueError(f"{text!r} is no share: it looks like 10% and is at most 100%")
    return share
