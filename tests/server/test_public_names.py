"""`--public-name`: which names are accepted, in which form, and which can never match."""

import pytest

from trio_chat.errors import CannotStart
from trio_chat.server.config import Config
from trio_chat.server.public_names import parse_public_name


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("chat.example.org", "chat.example.org"),
        ("Chat.Example.ORG.", "chat.example.org"),
        ("chat", "chat"),
        ("a--b.example", "a--b.example"),
        ("my_chat", "my_chat"),  # a service of Docker Compose, which browsers in its network reach by that
        ("_chat_.Example", "_chat_.example"),
        ("1and1.example", "1and1.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("bu\u0308cher.example.", "xn--bcher-kva.example"),
        ("faß.example", "xn--fa-hia.example"),  # IDNA 2003 had fass.example
        ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
        ("xn--ls8h.example", "xn--ls8h.example"),
        ("192.0.2.1", "192.0.2.1"),
        ("::1", "[::1]"),
        ("[2001:DB8:0::1]", "[2001:db8::1]"),
        ("a" * 63 + ".example", "a" * 63 + ".example"),
    ],
)
def test_a_name_is_accepted_in_the_form_that_browsers_send(text: str, host: str) -> None:
    assert parse_public_name(text) == host
    Config(public_names=(text,))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("chat.example:8443", "a name without a port"),
        ("bücher.example:443", "a name without a port"),
        ("192.0.2.1:80", "a name without a port"),
        ("192.0.2.1:", "a name without a port"),
        ("[::1]:80", "a name without a port"),
        ("chat.example:", "a name without a port"),
        ("https://chat.example", "a name without a scheme"),
        ("wss://bücher.example/ws", "a name without a scheme"),
        ("a.example,b.example", "one name"),
        ("a.example b.example", "one name"),
        ("chat.example\n", "one name"),
        ("*", "a whole name"),
        ("*.example", "a whole name"),
        ("", "a host name"),
        (".", "a host name"),
        ("a..b", "a host name"),
        (".example", "a host name"),
        ("chat.example..", "a host name"),
        ("-chat.example", "a host name"),
        ("chat-.example", "a host name"),
        ("user@chat.example", "a host name"),
        ("chat.example/chat", "a host name"),
        ("127.1", "a host name"),
        ("256.0.0.1", "a host name"),
        ("chat.0x7f", "a host name"),
        ("fe80::1%eth0", "a host name"),
        ("a" * 64, "a host name"),
        ("a." * 127 + "a", "a host name"),
        ("ü_.example", "a name that IDNA allows"),
        ("💩.example", "a name that IDNA allows"),
        ("\u200b", "a name that IDNA allows"),
        ("ü" * 60, "a name that IDNA allows"),
        ("ü" * 300, "at most 253 characters"),
    ],
)
def test_a_name_that_can_never_match_is_refused(text: str, expected: str) -> None:
    with pytest.raises(CannotStart, match=f"^invalid public name: got '.*', expected {expected}") as caught:
        Config(public_names=("chat.example", text))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 200
    assert caught.value.exit_status == 2
