"""The arguments: an address, a share."""

import pytest

from loadtest.target import parse_address, parse_share, shown


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("", None),
        ("example.org", ("example.org", 5555)),
        ("127.0.0.1:7000", ("127.0.0.1", 7000)),
        ("[::1]", ("::1", 5555)),
        ("[::1]:7000", ("::1", 7000)),
        ("ws://127.0.0.1:7000", ("ws://127.0.0.1:7000", 5555)),
    ],
)
def test_addresses_are_parsed(text: str, address: tuple[str, int] | None) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text", [":7000", "a:b", "a:0", "a:65536", "a b", "::1", "[]:1", "a:", "[a", "wss://a", "ws://"]
)
def test_invalid_addresses_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="address"):
        parse_address(text)


def test_an_address_is_shown_as_it_was_typed() -> None:
    assert shown("127.0.0.1", 7000) == "127.0.0.1:7000"
    assert shown("2001:db8::1", 7000) == "[2001:db8::1]:7000"
    assert shown("ws://127.0.0.1:7000", 5555) == "ws://127.0.0.1:7000"


@pytest.mark.parametrize(
    ("text", "share"), [("10%", 0.1), ("0.1", 0.1), ("0", 0), ("100%", 1), (" 2.5 %", 0.025)]
)
def test_shares_are_parsed(text: str, share: float) -> None:
    assert parse_share(text) == pytest.approx(share)


@pytest.mark.parametrize("text", ["", "%", "10%%", "101%", "-1", "2", "ten", "nan", "10% of"])
def test_invalid_shares_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="invalid share"):
        parse_share(text)
