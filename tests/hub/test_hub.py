"""The hub's rules: each decides and applies in one step, or refuses and has changed nothing."""

from contextlib import nullcontext, suppress
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_chat.errors import Refused
from trio_chat.hub.hub import Hub
from trio_chat.hub.members import Attachment
from trio_chat.hub.names import prepare_name, prepare_room
from trio_chat.hub.rates import YOUNG_S, Rate
from trio_chat.wire.messages import Departure, Presence

ADA, BOB, EVA = prepare_name("ada"), prepare_name("bob"), prepare_name("eva")
LOBBY, ATTIC = prepare_room("Lobby"), prepare_room("attic")


def seated(hub: Hub[str], token: str = "ada", name: str = "") -> Attachment[str]:
    attachment, oldest = hub.attach("", token, prepare_name(name or token))
    assert oldest is None
    return attachment


def refusal(refused: pytest.ExceptionInfo[Refused]) -> tuple[str, str]:
    return refused.value.code, refused.value.field


# --- members ----------------------------------------------------------------------------------------


def test_the_sessions_of_a_token_are_one_member() -> None:
    hub = Hub[str]()
    first, second = seated(hub), seated(hub)
    assert first is not second
    assert first.member is second.member
    assert list(first.member.attachments) == [first, second]


def test_a_known_token_keeps_its_present_name() -> None:
    hub = Hub[str]()
    first = seated(hub, "t", "ada")
    assert seated(hub, "t", "zoe").member.name == ADA
    hub.rename(first.member, EVA)
    assert seated(hub, "t", "ada").member.name == EVA
    with pytest.raises(Refused):
        hub.find(ADA)


@pytest.mark.parametrize("name", ["ada", "Ada", "ａｄａ"])
def test_a_name_that_another_token_holds_is_taken(name: str) -> None:
    hub = Hub[str]()
    seated(hub)
    with pytest.raises(Refused, match=r"the name .* is taken") as refused:
        hub.attach("", "other", prepare_name(name))
    assert refusal(refused) == ("name_taken", "name")
    seated(hub, "other", "bob")


def test_a_name_is_free_when_the_last_session_has_gone() -> None:
    hub = Hub[str]()
    one, other = seated(hub), seated(hub)
    hub.detach(one, "lost")
    with pytest.raises(Refused):
        hub.attach("", "other", ADA)
    hub.detach(other, "lost")
    assert seated(hub, "other", "ada").member is not one.member


def test_the_ninth_session_gives_back_the_oldest_which_still_sits() -> None:
    """The caller ends it; until then the member has never been without a seat."""
    hub = Hub[str](sessions_max=2)
    first, second = seated(hub), seated(hub)
    third, oldest = hub.attach("", "ada", ADA)
    assert oldest is first
    assert list(third.member.attachments) == [first, second, third]
    hub.detach(first, "replaced")
    assert list(third.member.attachments) == [second, third]


def test_standing_up_twice_is_once() -> None:
    hub = Hub[str]()
    attachment, other = seated(hub), seated(hub)
    room, _ = hub.join(attachment, LOBBY)
    hub.join(other, LOBBY)
    assert hub.detach(attachment, "lost") == []
    assert hub.detach(attachment, "lost") == []
    assert hub.detach(other, "lost") == [room]
    assert hub.detach(other, "timeout") == []


def test_a_member_is_found_by_any_form_of_its_name() -> None:
    hub = Hub[str]()
    ada = seated(hub).member
    assert hub.find(prepare_name("ＡＤＡ")) is ada
    with pytest.raises(Refused, match="no member is named bob") as refused:
        hub.find(BOB)
    assert refusal(refused) == ("no_such_name", "to")


# --- names ------------------------------------------------------------------------------------------


def test_renaming_is_told_in_each_room_once() -> None:
    hub = Hub[str]()
    one, other = seated(hub), seated(hub)
    lobby, _ = hub.join(one, LOBBY)
    attic, _ = hub.join(other, ATTIC)
    assert hub.join(other, LOBBY) == (lobby, False)
    assert hub.rename(one.member, EVA) == [lobby, attic]
    assert (lobby.names().names, attic.names().names) == (["eva"], ["eva"])
    assert hub.find(EVA) is one.member
    seated(hub, "other", "ada")


def test_the_case_of_ones_own_name_may_change() -> None:
    hub = Hub[str]()
    attachment = seated(hub)
    room, _ = hub.join(attachment, LOBBY)
    room.notice()
    hub.rename(attachment.member, prepare_name("ADA"))
    assert attachment.member.name.shown == "ADA"
    assert hub.find(ADA) is attachment.member
    hub.rename(attachment.member, prepare_name("ADA"))
    notice = room.notice()
    assert notice is not None and [each.to for each in notice.renamed] == ["ADA"]


def test_a_taken_name_is_refused_and_nothing_has_changed() -> None:
    hub = Hub[str]()
    ada, bob = seated(hub), seated(hub, "bob")
    room, _ = hub.join(ada, LOBBY)
    room.notice()
    with pytest.raises(Refused) as refused:
        hub.rename(ada.member, prepare_name("BOB"))
    assert refusal(refused) == ("name_taken", "name")
    assert (ada.member.name, bob.member.name) == (ADA, BOB)
    assert (hub.find(ADA), hub.find(BOB)) == (ada.member, bob.member)
    assert room.notice() is None


# --- rooms ------------------------------------------------------------------------------------------


def test_a_room_exists_while_it_has_members() -> None:
    hub = Hub[str]()
    ada, bob = seated(hub), seated(hub, "bob")
    room, came = hub.join(ada, LOBBY)
    assert came and room.shown == "Lobby"
    assert hub.join(bob, prepare_room("LOBBY")) == (room, True)
    assert hub.rooms == {"lobby": room}
    assert hub.leave(ada, room, "left")
    assert hub.detach(bob, "lost") == [room]
    assert hub.rooms == {}
    assert hub.join(seated(hub, "eva"), prepare_room("LOBBY"))[0].shown == "LOBBY"


def test_a_session_joins_a_room_once_and_its_member_stays_until_the_last_session_leaves() -> None:
    hub = Hub[str]()
    one, other = seated(hub), seated(hub)
    room, _ = hub.join(one, LOBBY)
    with pytest.raises(Refused) as refused:
        hub.join(one, prepare_room("LOBBY"))
    assert refusal(refused) == ("already_in_room", "room")
    assert hub.join(other, LOBBY) == (room, False)
    assert not hub.leave(one, room, "left")
    assert hub.leave(other, room, "left")


def test_rooms_are_counted_for_each_session() -> None:
    hub = Hub[str](rooms_max=2)
    one, other = seated(hub), seated(hub)
    for number in range(2):
        hub.join(one, prepare_room(f"r{number}"))
    with pytest.raises(Refused, match="at most 2 rooms") as refused:
        hub.join(one, LOBBY)
    assert refusal(refused) == ("too_many_rooms", "room")
    assert "lobby" not in hub.rooms
    hub.join(other, LOBBY)
    hub.leave(one, hub.rooms["r0"], "left")
    hub.join(one, LOBBY)


@pytest.mark.parametrize("raw", ["attic", "no such", "", "#", "x" * 65])
def test_a_room_without_membership_gives_the_same_error_for_any_name(raw: str) -> None:
    hub = Hub[str]()
    attachment = seated(hub)
    room, _ = hub.join(attachment, LOBBY)
    assert hub.room_of(attachment, "ＬＯＢＢＹ") is room
    with pytest.raises(Refused) as refused:
        hub.room_of(attachment, raw)
    assert refusal(refused) == ("not_in_room", "room")


def test_standing_up_leaves_every_room_and_tells_those_that_changed() -> None:
    hub = Hub[str]()
    ada, other, bob = seated(hub), seated(hub), seated(hub, "bob")
    lobby, _ = hub.join(ada, LOBBY)
    attic, _ = hub.join(ada, ATTIC)
    hub.join(other, ATTIC)
    hub.join(bob, LOBBY)
    lobby.notice()
    assert hub.detach(ada, "timeout") == [lobby]
    assert lobby.notice() == Presence("Lobby", 1, left=[Departure("ada", "timeout")])
    assert list(attic.members) == [other.member]


# --- rates ------------------------------------------------------------------------------------------


def test_a_member_is_charged_for_all_its_sessions_and_for_each_kind_apart() -> None:
    hub = Hub[str](rates={"talk": Rate(2, 1.0), "rooms": Rate(1, 0.25)})
    ada, other, bob = seated(hub), seated(hub), seated(hub, "bob")
    hub.check_rate(ada, "talk", 0.0)
    hub.check_rate(other, "talk", 0.0)
    with pytest.raises(Refused, match="too fast: talk") as refused:
        hub.check_rate(ada, "talk", 0.5)
    assert (refused.value.code, refused.value.retry_after_s) == ("rate_limited", 1)
    hub.check_rate(ada, "rooms", 0.5)
    with pytest.raises(Refused) as refused:
        hub.check_rate(ada, "rooms", 0.5)
    assert refused.value.retry_after_s == 5
    hub.check_rate(bob, "talk", 0.5)


def test_nothing_behind_a_refused_message_is_granted_before_it_may_be_tried_again() -> None:
    """Not even what is small enough; another session, and another kind of command, are not concerned."""
    hub = Hub[str](rates={"talk": Rate(100, 10.0), "talk_bytes": Rate(10, 2.0), "rooms": Rate(5, 1.0)})
    (ada, _), (other, _) = [hub.attach(owner, "t", prepare_name("ada")) for owner in ("a", "b")]
    hub.check_rate(ada, "talk", 0.0, size=8)
    with pytest.raises(Refused) as refused:
        hub.check_rate(ada, "talk", 0.0, size=9)
    assert refused.value.retry_after_s == 4
    for now, retry_after_s in ((0.0, 4), (0.5, 4), (3.0, 1), (3.9, 1)):
        with pytest.raises(Refused) as refused:
            hub.check_rate(ada, "talk", now, size=1)
        assert (refused.value.code, refused.value.retry_after_s) == ("rate_limited", retry_after_s)
        hub.check_rate(ada, "rooms", now)
    hub.check_rate(other, "talk", 3.9, size=1)
    hub.check_rate(ada, "talk", 4.0, size=9)
    hub.check_rate(ada, "talk", 4.0)


def test_a_kind_without_a_rate_is_not_limited() -> None:
    hub = Hub[str](rates={"talk": Rate(1, 1.0)})
    attachment = seated(hub)
    for _ in range(1_000):
        hub.check_rate(attachment, "questions", 0.0)
    free = seated(Hub[str]())
    for _ in range(1_000):
        Hub[str]().check_rate(free, "talk", 0.0)


def test_a_token_that_comes_back_has_what_it_had_left() -> None:
    hub = Hub[str](rates={"talk": Rate(2, 1.0)})
    for now in (0.0, 1.0, 2.0):
        attachment, _ = hub.attach("", "ada", ADA, now=now)
        hub.check_rate(attachment, "talk", now)
        with pytest.raises(Refused) if now else nullcontext():
            hub.check_rate(attachment, "talk", now)
        hub.detach(attachment, "lost", now)
    attachment, _ = hub.attach("", "eva", EVA, now=2.0)
    hub.check_rate(attachment, "talk", 2.0)


def test_tokens_of_one_address_prefix_are_limited_together_while_they_are_young() -> None:
    hub = Hub[str](rates={"talk": Rate(2, 1.0)})

    def granted(count: int, prefix: str, now: float) -> int:
        """How many of so many new members, each of which says two things."""
        said = 0
        for number in range(count):
            token = f"{prefix} {now} {number}"
            attachment, _ = hub.attach(
                "", token, prepare_name(f"m{abs(hash(token))}"), prefix=prefix, now=now
            )
            for _ in range(2):
                with suppress(Refused):
                    hub.check_rate(attachment, "talk", now)
                    said += 1
        return said

    assert granted(50, "2001:db8::/64", 0.0) == 20
    assert granted(50, "2001:db8::/64", 1.0) == 10
    assert granted(50, "192.0.2.1", 1.0) == 20
    assert granted(50, "", 1.0) == 100, "loopback has no prefix"


def test_a_token_of_a_minute_is_not_charged_to_its_address() -> None:
    hub = Hub[str](rates={"talk": Rate(2, 1.0)})
    attachments = [
        hub.attach("", f"t{number}", prepare_name(f"m{number}"), prefix="192.0.2.1", now=0.0)[0]
        for number in range(50)
    ]
    for attachment in attachments:
        hub.check_rate(attachment, "talk", YOUNG_S)


@given(
    st.integers(1, 5),
    st.integers(1, 20),
    st.floats(0, 1e6),
    st.lists(st.floats(0, 3), min_size=1, max_size=30),
)
def test_a_command_that_waits_as_long_as_told_is_granted(
    burst: int, per_s: int, now: float, pauses: list[float]
) -> None:
    hub = Hub[str](rates={"talk": Rate(burst, per_s)})
    attachment = seated(hub)
    for pause in pauses:
        now += pause
        try:
            hub.check_rate(attachment, "talk", now)
        except Refused as refused:
            assert refused.retry_after_s is not None and refused.retry_after_s >= 1
            now += refused.retry_after_s
            hub.check_rate(attachment, "talk", now)


# --- rooms by name ----------------------------------------------------------------------------------------


def test_rooms_are_found_in_the_order_of_their_names() -> None:
    hub = Hub[str](rooms_max=10)
    attachment = seated(hub)
    for name in ("Zoo", "attic", "Ätna", "Lobby", "b"):
        hub.join(attachment, prepare_room(name))
    hub.leave(attachment, attachment.rooms["b"], "left")
    assert [room.shown for room in hub.rooms_after("", 10)] == ["Lobby", "Zoo", "attic", "Ätna"]
    assert [room.shown for room in hub.rooms_after("Lobby", 2)] == ["Zoo", "attic"]
    assert hub.rooms_after("Ätna", 2) == []


# --- against a naive model ------------------------------------------------------------------------------

SESSIONS_MAX, ROOMS_MAX = 3, 2


@dataclass(eq=False)
class Chair:
    """A session as the model sees it, beside the hub's."""

    token: str
    attachment: Attachment[str]
    rooms: list[str] = field(default_factory=list)


class Model:
    """A model of the hub: a list of sessions. Each step is applied to both and compared."""

    def __init__(self) -> None:
        self.hub: Hub[str] = Hub(sessions_max=SESSIONS_MAX, rooms_max=ROOMS_MAX)
        self.chairs: list[Chair] = []
        self.names: dict[str, str] = {}
        self.expected = ""  # the code of the refusal that has to come

    def holder(self, name: str) -> str | None:
        return next((token for token, held in self.names.items() if held.lower() == name.lower()), None)

    def sit(self, token: str, name: str) -> None:
        self.expect("name_taken", token not in self.names and self.holder(name) is not None)
        attachment, oldest = self.hub.attach("", token, prepare_name(name))
        self.names.setdefault(token, name)
        mine = [chair.attachment for chair in self.chairs if chair.token == token]
        assert oldest is (mine[0] if len(mine) >= SESSIONS_MAX else None)
        self.chairs.append(Chair(token, attachment))
        if oldest is not None:
            self.stand(self.chairs.index(next(chair for chair in self.chairs if chair.attachment is oldest)))

    def expect(self, code: str, refused: bool) -> None:
        self.expected = code if refused else self.expected

    def stand(self, number: int) -> None:
        chair = self.chairs.pop(number)
        others = [each for each in self.chairs if each.token == chair.token]
        gone = [room for room in chair.rooms if not any(room in each.rooms for each in others)]
        assert [room.key for room in self.hub.detach(chair.attachment, "lost")] == gone
        if not others:
            del self.names[chair.token]

    def join(self, number: int, room: str) -> None:
        chair = self.chairs[number]
        was_there = any(each.token == chair.token and room in each.rooms for each in self.chairs)
        self.expect("too_many_rooms", len(chair.rooms) >= ROOMS_MAX)
        if room in chair.rooms:
            self.expect("already_in_room", True)
        _, came = self.hub.join(chair.attachment, prepare_room(room.upper()))
        assert came != was_there
        chair.rooms.append(room)

    def leave(self, number: int, room: str) -> None:
        chair = self.chairs[number]
        self.expect("not_in_room", room not in chair.rooms)
        last = self.hub.leave(chair.attachment, self.hub.room_of(chair.attachment, room), "left")
        chair.rooms.remove(room)
        assert last != any(each.token == chair.token and room in each.rooms for each in self.chairs)

    def rename(self, number: int, name: str) -> None:
        chair = self.chairs[number]
        self.expect("name_taken", self.holder(name) not in (None, chair.token))
        changed = self.hub.rename(chair.attachment.member, prepare_name(name))
        self.names[chair.token] = name
        mine = [room for each in self.chairs if each.token == chair.token for room in each.rooms]
        assert [room.key for room in changed] == list(dict.fromkeys(mine))

    def check(self) -> None:
        for token, name in self.names.items():
            assert self.hub.find(prepare_name(name)).token == token
        rooms: dict[str, dict[str, int]] = {}
        for chair in self.chairs:
            for room in chair.rooms:
                counts = rooms.setdefault(room, {})
                counts[self.names[chair.token]] = counts.get(self.names[chair.token], 0) + 1
        assert {
            key: {member.name.shown: count for member, count in room.members.items()}
            for key, room in self.hub.rooms.items()
        } == rooms


_token = st.sampled_from(["1", "2", "3"])
_name = st.sampled_from(["ada", "Ada", "bob", "eva"])
_number = st.integers(0, 9)
_room = st.sampled_from(["lobby", "attic", "cellar"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just(Model.sit), _token, _name),
        st.tuples(st.just(Model.stand), _number),
        st.tuples(st.sampled_from([Model.join, Model.leave]), _number, _room),
        st.tuples(st.just(Model.rename), _number, _name),
    ),
    max_size=50,
)


@given(STEPS)
def test_the_hub_does_what_a_plain_list_of_sessions_says(steps: list[tuple]) -> None:  # type: ignore[type-arg]  # of five kinds
    model = Model()
    for step, *arguments in steps:
        if isinstance(arguments[0], int):
            if not model.chairs:
                continue
            arguments[0] %= len(model.chairs)
        model.expected = ""
        try:
            step(model, *arguments)
        except Refused as refused:
            assert refused.code == model.expected
        else:
            assert not model.expected
        model.check()
