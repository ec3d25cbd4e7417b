"""Parse the arguments of `trio-chat loadtest`: an address, a share."""

import re

from trio_chat.client.address import parse_address as parse_url
from trio_chat.errors import CannotConnect

__all__ = ["PORT", "parse_address", "parse_share", "shown", "shown_server"]

PORT = 5555
_ADDRESS = re.compile(r"(?:\[([^][]+)\]|([^][:\s]+))(?::([0-9]{1,5}))?", re.ASCII)


def parse_address(text: str) -> tuple[str, int] | None:
    """Parse `HOST`, `HOST:PORT` or `[HOST]:PORT`; return None for an empty text. Raises `ValueError`.

    A URL such as `ws://HOST:PORT` is returned as the host, which `connect` accepts.
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
        raise ValueError(f"invalid address: got {text!r}, expected HOST:PORT, such as 127.0.0.1:{PORT}")
    return found[1] or found[2], port


def shown(host: str, port: int) -> str:
    """Return an address in the form in which a user types it."""
    if "://" in host:
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def shown_server(address: tuple[str, int] | None) -> str:
    """Return the address of the server for the report, or that it was started for the run."""
    return shown(*address) if address is not None else "a server of its own"


def parse_share(text: str) -> float:
    """Parse `10%` or `0.1` as a number from 0 to 1. Raises `ValueError`."""
    number, percent, rest = text.strip().partition("%")
    try:
        share = float(number) / (100 if percent else 1)
    except ValueError:
        share = -1.0
    if rest or not 0 <= share <= 1:
        raise ValueError(f"invalid share: got {text!r}, expected 0% to 100%, such as 10%")
    return share
