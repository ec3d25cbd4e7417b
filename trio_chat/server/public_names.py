"""The names by which browsers may ask for a server (`--public-name`). PURE.

A browser sends an internationalised name in its ASCII form (`xn--…`), so that form is what `Host` is
compared with. A name that can never match a `Host` is refused at the start, before a user meets the mistake.
"""

from __future__ import annotations

import re

from trio_chat.errors import CannotStart
from trio_chat.server.authority import is_address, parse_authority

__all__ = ["parse_public_name"]

NAME_MAX = 253  # characters, of DNS
SHOWN_MAX = 64

# Underscores are in no host name of the standards, but browsers take them, and container networks have them.
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_PORT = re.compile(r"[^:]+:[0-9]*|\[[^]]*\]:[0-9]*")


def parse_public_name(text: str) -> str:
    """Return the name as the host of an `Authority`. Raises `CannotStart` for a name that can never match.

    An address is accepted, although the server accepts every address as `Host` without it.
    """
    name = text.removesuffix(".")
    if not text.isascii():
        name = _to_ascii(text).removesuffix(".")
    bracketed = f"[{name}]" if name.count(":") > 1 and not name.startswith("[") else name
    found = parse_authority(bracketed.encode())
    if found is not None and found.port is None and not bracketed.endswith(":") and is_address(found.host):
        return found.host
    name = name.lower()
    labels = name.split(".")
    if len(name) > NAME_MAX or not all(map(_LABEL.fullmatch, labels)) or _NUMBER.fullmatch(labels[-1]):
        raise _refused(text, _expected(text))
    return name


def _to_ascii(text: str) -> str:
    """Return an internationalised name as browsers send it (UTS #46)."""
    import idna  # only for such a name: its tables take some milliseconds to load

    if len(text) > NAME_MAX + 1:
        raise _refused(text, f"at most {NAME_MAX} characters")
    try:
        return idna.encode(text, uts46=True, std3_rules=True).decode()
    except (idna.IDNAError, UnicodeError):
        raise _refused(text, _expected(text)) from None


def _expected(text: str) -> str:
    if _SCHEME.match(text):
        return "a name without a scheme or a path, as chat.example.org"
    if "," in text or any(map(str.isspace, text)):
        return "one name, as chat.example.org; repeat --public-name for each"
    if "*" in text:
        return "a whole name, as chat.example.org; repeat --public-name for each"
    if _PORT.fullmatch(text):
        return "a name without a port, as chat.example.org; it matches on every port"
    if not text.isascii():
        return "a name that IDNA allows, or its ASCII form, as xn--bcher-kva.example"
    return "a host name of letters, digits, hyphens, underscores and dots, as chat.example.org"


def _refused(text: str, expected: str) -> CannotStart:
    shown = text if len(text) <= SHOWN_MAX else f"{text[:SHOWN_MAX]}…"
    return CannotStart(f"invalid public name: got {shown!r}, expected {expected}")
