"""Limits: those of the table of faults unless said otherwise, and none that cannot work."""

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
def test_no_limit_is_nothing(name: str, value: int) -> None:
    with pytest.raises(CannotStart, match=f"limit {name} must be at least 1"):
        Limits(**{name: value})


def test_no_limit_is_larger_than_a_number_of_the_wire() -> None:
    """What `welcome` tells of it would be no number for a browser."""
    assert Limits(rooms=2**53 - 1).rooms == 2**53 - 1
    with pytest.raises(CannotStart, match="limit talk_burst must be at most 9007199254740991"):
        Limits(talk_burst=2**53)


def test_clients_take_no_larger_frames() -> None:
    Limits(frame_bytes=65_536)
    with pytest.raises(CannotStart, match="frame_bytes must be at most 65536"):
        Limits(frame_bytes=65_537)


def test_a_frame_holds_the_longest_text() -> None:
    """Whatever is in it, and whatever the names are: what was said must be fit to be sent."""
    limits = Limits(text_bytes=32_256)
    with pytest.raises(CannotStart, match="frame_bytes must be at least twice"):
        Limits(text_bytes=32_257)
    longest = ("😀" * 64, 2**53 - 1, 2**53 - 1, "😀" * 32)
    for text in ('"' * limits.text_bytes, "\n" * limits.text_bytes):
        for entry in (Said(*longest, text, action=True), TopicChanged(*longest, text)):
            assert len(encode(entry)) <= limits.frame_bytes
        assert len(encode(Whispered("😀" * 32, "😀" * 32, text, 2**53 - 1))) <= limits.frame_bytes


def test_whoever_pings_as_asked_is_not_given_up() -> None:
    Limits(ping_s=59)
    with pytest.raises(CannotStart, match="silence_s must be more than ping_s"):
        Limits(ping_s=60)


def test_limits_are_read_from_texts() -> None:
    assert parse_limits([]) == {}
    assert parse_limits(["rooms=7", "drain_s=007", "rooms=8"]) == {"rooms": 8, "drain_s": 7}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("roms=7", "unknown limit 'roms'; did you mean rooms?"),
        ("=7", "unknown limit ''; --limit help lists the limits"),
        ("", "unknown limit ''; --limit help lists the limits"),
        ("rooms", "invalid limit rooms: got '', expected a whole number"),
        ("rooms=-1", "invalid limit rooms: got '-1', expected a whole number"),
        ("rooms=1.5", "invalid limit rooms: got '1.5', expected a whole number"),
        ("rooms=٣", "invalid limit rooms: got '٣', expected a whole number"),
        ("rooms= 7", "invalid limit rooms: got ' 7', expected a whole number"),
        ("rooms=" + "9" * 5_000, "invalid limit rooms: got 5000 digits, expected at most 100"),
    ],
)
def test_a_text_that_is_no_limit_is_refused_in_one_line(text: str, says: str) -> None:
    with pytest.raises(CannotStart) as refused:
        parse_limits([text])
    assert str(refused.value) == says


def test_every_limit_is_described() -> None:
    lines = Limits.described().splitlines()
    assert len(lines) == len(dataclasses.fields(Limits))
    assert parse_limits(line.split()[0] for line in lines) == dataclasses.asdict(Limits())
    assert all(len(line.split()) > 2 for line in lines), "each has its meaning"


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
def test_an_age_is_of_hours_days_or_weeks(age: str, hours: int) -> None:
    assert parse_age(age) == hours * 3_600_000


@pytest.mark.parametrize("age", ["", "90", "d", "0d", "1.5d", "-1d", "90 d", "90m", "90D", "٩d", "9" * 50])
def test_another_age_is_refused_in_one_line(age: str) -> None:
    with pytest.raises(CannotStart, match="hours, days or weeks") as refusal:
        parse_age(age)
    assert "\n" not in str(refusal.value)
