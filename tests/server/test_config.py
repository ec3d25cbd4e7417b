"""Settings: the defaults are those of the protocol, and invalid values are refused."""

import dataclasses

import pytest

from trio_chat.errors import CannotStart
from trio_chat.server.config import Config, Limits, parse_age, parse_limits
from trio_chat.wire.codec import encode
from trio_chat.wire.messages import Said, TopicChanged, Whispered


def test_the_defaults_are_those_of_the_protocol() -> None:
    limits = Limits()
    assert (limits.frame_bytes, limits.hello_bytes) == (65_536, 8_192)
    assert (limits.text_bytes, limits.text_lines) == (4_096, 100)
    assert (limits.hello_s, limits.frame_s, limits.ping_s, limits.silence_s) == (10, 10, 25, 60)
    assert (limits.stalled_s, limits.goodbye_s, limits.drain_s) == (60, 5, 8)
    assert (limits.answers_bytes, limits.rooms, limits.sessions) == (256 << 10, 100, 8)
    assert (limits.connections, limits.connections_per_address) == (10_000, 64)
    assert (limits.queue_entries, limits.queue_bytes) == (10_000, 8 << 20)
    assert (limits.tail_bytes, limits.tails_bytes) == (4 << 20, 256 << 20)
    assert (limits.journal_room_entries, limits.journal_room_bytes) == (10_000, 8 << 20)
    assert limits.journal_bytes == 256 << 20


@pytest.mark.parametrize("name", [limit.name for limit in dataclasses.fields(Limits)])
@pytest.mark.parametrize("value", [0, -1])
def test_a_limit_is_at_least_1(name: str, value: int) -> None:
    with pytest.raises(CannotStart, match=f"invalid limit {name}: got {value}, expected at least 1"):
        Limits(**{name: value})


def test_a_limit_is_at_most_the_largest_number_of_the_wire() -> None:
    """`welcome` sends limits, and a browser cannot represent larger integers exactly."""
    assert Limits(rooms=2**53 - 1).rooms == 2**53 - 1
    with pytest.raises(CannotStart, match="invalid limit talk_burst: expected at most 9007199254740991"):
        Limits(talk_burst=2**53)


def test_frame_bytes_is_at_most_the_maximum_of_clients() -> None:
    Limits(frame_bytes=65_536)
    with pytest.raises(CannotStart, match="frame_bytes: expected at most 65536"):
        Limits(frame_bytes=65_537)


def test_a_frame_has_room_for_the_longest_text() -> None:
    """Every accepted text can be sent, whatever its characters and the names around it."""
    limits = Limits(text_bytes=32_256)
    with pytest.raises(CannotStart, match="frame_bytes: expected at least twice"):
        Limits(text_bytes=32_257)
    longest = ("😀" * 64, 2**53 - 1, 2**53 - 1, "😀" * 32)
    for text in ('"' * limits.text_bytes, "\n" * limits.text_bytes):
        for entry in (Said(*longest, text, action=True), TopicChanged(*longest, text)):
            assert len(encode(entry)) <= limits.frame_bytes
        assert len(encode(Whispered("😀" * 32, "😀" * 32, text, 2**53 - 1))) <= limits.frame_bytes


def test_a_client_that_pings_as_asked_is_not_disconnected() -> None:
    Limits(ping_s=59)
    with pytest.raises(CannotStart, match="silence_s: expected more than ping_s"):
        Limits(ping_s=60)


def test_limits_are_parsed() -> None:
    assert parse_limits([]) == {}
    assert parse_limits(["rooms=7", "drain_s=007", "rooms=8"]) == {"rooms": 8, "drain_s": 7}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("roms=7", "unknown limit 'roms'; did you mean rooms?"),
        ("=7", "unknown limit ''; --limit help lists all limits"),
        ("", "unknown limit ''; --limit help lists all limits"),
        ("rooms", "invalid limit rooms: got '', expected a whole number"),
        ("rooms=-1", "invalid limit rooms: got '-1', expected a whole number"),
        ("rooms=1.5", "invalid limit rooms: got '1.5', expected a whole number"),
        ("rooms=٣", "invalid limit rooms: got '٣', expected a whole number"),
        ("rooms= 7", "invalid limit rooms: got ' 7', expected a whole number"),
        ("rooms=" + "9" * 5_000, "invalid limit rooms: expected a number of at most 100 digits"),
    ],
)
def test_an_invalid_limit_is_refused_in_one_line(text: str, says: str) -> None:
    with pytest.raises(CannotStart) as refused:
        parse_limits([text])
    assert str(refused.value) == says


def test_the_help_of_limits_has_each_default_explanation_and_unit() -> None:
    settings, explanations = zip(
        *(line.split(maxsplit=1) for line in Limits.help_text().splitlines()), strict=True
    )
    assert parse_limits(settings) == dataclasses.asdict(Limits())
    assert all(explanations)
    for setting, explanation in zip(settings, explanations, strict=True):
        unit = {"s": "second", "bytes": "bytes"}.get(setting.partition("=")[0].rpartition("_")[2], "")
        assert unit in explanation


def test_the_rates_are_those_of_the_limits() -> None:
    assert Config().rates == {
        "talk": (20, 5),
        "talk_bytes": (262_144, 16_384),
        "rooms": (200, 5),
        "questions": (50, 10),
    }
    assert Config(limits=Limits(talk_burst=1, talk_per_s=2)).rates["talk"] == (1, 2)
    assert Config(rate_limit=False).rates == {}


def test_a_proxy_is_an_address_or_a_network() -> None:
    assert Config().proxies == ()
    Config(proxies=("127.0.0.1", "::1", "10.0.0.0/8", "2001:db8::/32"))
    with pytest.raises(CannotStart, match="invalid proxy: got 'localhost', expected an address or a network"):
        Config(proxies=("127.0.0.1", "localhost"))


@pytest.mark.parametrize(("age", "hours"), [("12h", 12), ("1d", 24), ("90d", 2_160), ("4w", 672)])
def test_an_age_is_in_hours_days_or_weeks(age: str, hours: int) -> None:
    assert parse_age(age) == hours * 3_600_000


@pytest.mark.parametrize("age", ["", "90", "d", "0d", "1.5d", "-1d", "90 d", "90m", "90D", "٩d", "9" * 50])
def test_an_invalid_age_is_refused_in_one_line(age: str) -> None:
    with pytest.raises(CannotStart, match="hours, days or weeks") as refusal:
        parse_age(age)
    assert "\n" not in str(refusal.value)
