"""A room counts its members, and its notices turn what others were told into what is true."""

from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trio_chat.errors import Refused
from trio_chat.hub.hub import Hub
from trio_chat.hub.members import Attachment, Member
from trio_chat.hub.names import Name, prepare_name, prepare_room
from trio_chat.hub.rates import Allowance
from trio_chat.hub.rooms import LARGE, NAMES_CUT, NAMES_PAGE, RoomMembers
from trio_chat.wire.codec import encode
from trio_chat.wire.framing import FRAME_BYTES_MAX
from trio_chat.wire.messages import Departure, Members, Presence, Renaming

LONGEST = 32  # of a name, in characters


def lobby() -> RoomMembers[str]:
    return RoomMembers(prepare_room("Lobby"))


def member(name: str) -> Member[str]:
    return Member(name, Name(name, name), Allowance(0.0))


def crowd(room: RoomMembers[str], count: int, prefix: str = "m") -> list[Member[str]]:
    members = [member(f"{prefix}{number:05}") for number in range(count)]
    for each in members:
        room.enter(each)
    return members


def pages(room: RoomMembers[str]) -> Iterator[Members]:
    """All pages of who is here, as one asks for them."""
    after = ""
    while True:
        page = room.names(after)
        yield page
        if not page.more:
            return
        after = page.names[-1]


def told(names: set[str], notice: Presence) -> set[str]:
    """What one knows after a notice, as `RoomMembers.notice` says to read it."""
    names = names - {departure.name for departure in notice.left}
    names -= {renaming.name for renaming in notice.renamed}
    return names | {renaming.to for renaming in notice.renamed} | set(notice.joined)


def test_nothing_changed_is_no_notice() -> None:
    assert lobby().notice() is None


def test_a_coming_and_a_going_are_told_once() -> None:
    room, ada = lobby(), member("ada")
    assert room.enter(ada)
    assert room.notice() == Presence("Lobby", 1, joined=["ada"])
    assert room.notice() is None
    assert room.leave(ada, "lost")
    assert room.notice() == Presence("Lobby", 0, left=[Departure("ada", "lost")])
    assert room.notice() is None


def test_a_member_is_here_while_one_of_its_sessions_is() -> None:
    room, ada = lobby(), member("ada")
    assert room.enter(ada)
    assert not room.enter(ada)
    assert room.notice() == Presence("Lobby", 1, joined=["ada"])
    assert not room.leave(ada, "left")
    assert room.notice() is None
    assert room.leave(ada, "left")
    assert not room.members


def test_who_came_and_went_in_between_leaves_no_trace() -> None:
    room, ada = lobby(), member("ada")
    room.enter(ada)
    room.leave(ada, "left")
    assert room.notice() is None


def test_who_went_and_came_back_was_never_gone() -> None:
    room, ada = lobby(), member("ada")
    room.enter(ada)
    room.notice()
    room.leave(ada, "lost")
    room.enter(ada)
    assert room.notice() is None


def test_who_comes_back_under_another_name_is_renamed() -> None:
    """A token identifies a member: a new connection with it is the same member."""
    room, ada = lobby(), member("ada")
    room.enter(ada)
    room.notice()
    room.leave(ada, "lost")
    room.enter(Member(ada.token, Name("eva", "eva"), Allowance(0.0)))
    assert room.notice() == Presence("Lobby", 1, renamed=[Renaming("ada", "eva")])


def test_renaming_is_told_from_the_name_that_others_know() -> None:
    room, ada = lobby(), member("ada")
    room.enter(ada)
    room.notice()
    for name in ("eva", "zoe"):
        before = ada.name.shown
        ada.name = Name(name, name)
        room.renamed(ada, before)
    assert room.notice() == Presence("Lobby", 1, renamed=[Renaming("ada", "zoe")])
    room.leave(ada, "quit")
    assert room.notice() == Presence("Lobby", 0, left=[Departure("zoe", "quit")])


def test_who_is_renamed_and_goes_has_left_under_the_name_that_others_know() -> None:
    room, ada = lobby(), member("ada")
    room.enter(ada)
    room.notice()
    ada.name = Name("eva", "eva")
    room.renamed(ada, "ada")
    room.leave(ada, "left")
    assert room.notice() == Presence("Lobby", 0, left=[Departure("ada", "left")])


def test_who_was_seen_in_between_and_went_is_told_to_have_left() -> None:
    """A member list that was sent before the notice must be corrected by it."""
    room, ada = lobby(), member("ada")
    room.enter(ada)
    assert room.names().names == ["ada"]
    room.leave(ada, "lost")
    assert room.notice() == Presence("Lobby", 0, left=[Departure("ada", "lost")])


def test_a_member_leaves_under_each_name_that_was_shown() -> None:
    room, ada = lobby(), member("ada")
    room.enter(ada)
    room.notice()
    ada.name = Name("eva", "eva")
    room.renamed(ada, "ada")
    assert room.names().names == ["eva"]
    room.leave(ada, "quit")
    notice = room.notice()
    assert notice == Presence("Lobby", 0, left=[Departure("ada", "quit"), Departure("eva", "quit")])


def test_who_was_missed_in_between_and_is_back_is_told_to_have_come() -> None:
    room, ada = lobby(), member("ada")
    room.enter(ada)
    room.notice()
    room.leave(ada, "lost")
    assert room.names().names == []
    room.enter(ada)
    assert room.notice() == Presence("Lobby", 1, joined=["ada"])


def test_two_who_swap_their_names_are_both_still_here() -> None:
    room, ada, bob = lobby(), member("ada"), member("bob")
    room.enter(ada)
    room.enter(bob)
    room.notice()
    for each, name in ((ada, "x"), (bob, "ada"), (ada, "bob")):
        before = each.name.shown
        each.name = Name(name, name)
        room.renamed(each, before)
    notice = room.notice()
    assert notice == Presence("Lobby", 2, renamed=[Renaming("ada", "bob"), Renaming("bob", "ada")])
    assert told({"ada", "bob"}, notice) == {"ada", "bob"}


def test_up_to_two_hundred_nothing_is_cut() -> None:
    room = lobby()
    members = crowd(room, LARGE)
    assert not room.large
    notice = room.notice()
    assert notice is not None and len(notice.joined) == LARGE and not notice.more
    for each in members:
        room.leave(each, "draining")
    crowd(room, LARGE, "n")
    assert not room.large, "as many changes as these are still of a small room"
    notice = room.notice()
    assert notice is not None and not notice.more
    assert (len(notice.left), len(notice.joined)) == (LARGE, LARGE)


def test_above_two_hundred_lists_are_cut_and_the_count_is_right() -> None:
    room = lobby()
    members = crowd(room, LARGE + 1)
    assert room.large
    notice = room.notice()
    assert notice is not None and notice.more
    assert (notice.members, len(notice.joined)) == (LARGE + 1, NAMES_CUT)
    for each in members:
        room.leave(each, "lost")
    assert room.large, "others believe that two hundred and one are here"
    notice = room.notice()
    assert notice is not None and notice.more
    assert (notice.members, len(notice.left)) == (0, NAMES_CUT)
    assert not room.large


@pytest.mark.parametrize("by", ["a member", "a session of one"])
def test_a_member_that_joins_during_an_absence_is_notified_of_the_return(by: str) -> None:
    """Found by seed 101440 of a simulated chat: neither the departure nor the return was announced."""
    room, ada, bob = lobby(), member("ada"), member("bob")
    room.enter(ada)
    room.enter(bob)
    room.notice()
    room.leave(ada, "lost")
    cy = member("cy") if by == "a member" else bob
    room.enter(cy)
    here = len(room.members)  # what cy is told
    room.enter(ada)
    notice = room.notice()
    assert notice is not None
    assert notice.left == [Departure("ada", "lost")] and "ada" in notice.joined
    assert notice.members == here + 1
    assert told({"ada", "bob"}, notice) == told({"bob", cy.name.shown}, notice)
    assert room.notice() is None


def test_who_is_back_before_anybody_came_in_was_never_gone() -> None:
    room, ada, bob = lobby(), member("ada"), member("bob")
    room.enter(ada)
    room.enter(bob)
    room.notice()
    room.leave(ada, "lost")
    room.enter(ada)
    assert room.notice() is None
    room.leave(ada, "lost")
    room.enter(ada)
    room.enter(bob)
    assert room.notice() is None


def test_a_large_room_says_more_only_when_something_was_cut() -> None:
    room = lobby()
    crowd(room, LARGE + 1)
    room.notice()
    crowd(room, NAMES_CUT, "n")
    notice = room.notice()
    assert notice is not None and len(notice.joined) == NAMES_CUT and not notice.more


@pytest.mark.parametrize("size", [LARGE, LARGE + 1])
@pytest.mark.parametrize("letter", ["x", '"', "😀"], ids=["plain", "escaped", "wide"])
def test_the_largest_notice_fits_into_a_frame(size: int, letter: str) -> None:
    """All leave and as many others come, all of them renamed meanwhile and seen under each name."""

    def named(number: int, stage: str) -> Name:
        name = f"{number}{stage}".ljust(LONGEST, letter)
        return Name(name, name)

    room = RoomMembers[str](Name("😀" * 64, "r"))
    members: list[Member[str]] = [
        Member(str(number), named(number, "a"), Allowance(0.0)) for number in range(size)
    ]
    for each in members:
        room.enter(each)
    room.notice()
    for stage in ("b", "c"):
        for number, each in enumerate(members):
            before = each.name.shown
            each.name = named(number, stage)
            room.renamed(each, before)
        room.names()
    for each in members[: size // 2]:
        room.leave(each, "draining")
    for number in range(size // 2):
        room.enter(Member(f"new {number}", named(number, "d"), Allowance(0.0)))
    notice = room.notice()
    assert notice is not None and notice.more and notice.renamed and notice.left and notice.joined
    assert len(encode(notice)) <= FRAME_BYTES_MAX


def test_names_are_by_code_point_and_in_pages() -> None:
    room = lobby()
    for name in ("b", "a", "Z", "é", "日本"):
        room.enter(member(name))
    assert room.names(ref="r1") == Members("Lobby", ["Z", "a", "b", "é", "日本"], 5, more=False, ref="r1")
    assert room.names("b").names == ["é", "日本"]
    assert room.names("aa").names == ["b", "é", "日本"], "the last member of the page may have left since"
    assert room.names("日本") == Members("Lobby", [], 5, more=False)


def test_a_page_ends_at_a_thousand_names() -> None:
    room = lobby()
    crowd(room, NAMES_PAGE)
    assert [(len(page.names), page.more) for page in pages(room)] == [(NAMES_PAGE, False)]
    crowd(room, 1, "n")
    assert [(len(page.names), page.more) for page in pages(room)] == [(NAMES_PAGE, True), (1, False)]


@pytest.mark.parametrize("letter", ['"', "\\", "😀"])
def test_a_page_ends_when_the_frame_is_full(letter: str) -> None:
    """A name can be twice as long in JSON as in memory, and four times as long in UTF-8."""
    room = RoomMembers[str](Name("😀" * 64, "r"))
    names = [f"{number:04}".ljust(LONGEST, letter) for number in range(NAMES_PAGE)]
    for name in names:
        room.enter(member(name))
    found = list(pages(room))
    assert len(found) > 1
    assert [name for page in found for name in page.names] == names
    for page in found:
        assert page.count == NAMES_PAGE
        assert len(encode(Members(room.shown, page.names, page.count, page.more, "\0" * 64))) <= (
            FRAME_BYTES_MAX
        )


def test_pages_know_who_has_come_gone_and_changed_names() -> None:
    room, ada, bob = lobby(), member("ada"), member("bob")
    room.enter(ada)
    room.enter(bob)
    assert room.names().names == ["ada", "bob"]
    ada.name = Name("eva", "eva")
    room.renamed(ada, "ada")
    assert room.names().names == ["bob", "eva"]
    room.leave(bob, "left")
    assert room.names().names == ["eva"]


# --- against a naive model ------------------------------------------------------------------------------

PEOPLE = 3
SIT, STAND, JOIN, LEAVE, RENAME, ASK, TELL = "sit", "stand", "join", "leave", "rename", "ask", "tell"
_person = st.integers(0, PEOPLE - 1)
_name = st.sampled_from(["ada", "Ada", "bob", "eva"])
_place = st.integers(0, 5)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just(SIT), _person, _name),
        st.tuples(st.sampled_from([STAND, JOIN, JOIN, LEAVE]), _place, st.just("")),
        st.tuples(st.just(RENAME), _place, _name),
        st.tuples(st.sampled_from([ASK, ASK, TELL]), st.just(0), st.just("")),
    ),
    min_size=5,
    max_size=60,
)


class Town:
    """People who come, go and change their names, and listeners who believe what they are told.

    The first listener has heard every notice; others have asked who is here, at some time, and heard every
    notice since.
    """

    def __init__(self) -> None:
        self.hub: Hub[str] = Hub()
        self.room = prepare_room("lobby")
        self.hub.join(self.hub.attach("the host", "host", prepare_name("host"))[0], self.room)
        self.seats: list[Attachment[str]] = []
        self.believe: list[set[str]] = [set()]

    @property
    def truth(self) -> set[str]:
        return {each.name.shown for each in self.hub.rooms[self.room.key].members}

    def step(self, what: str, number: int, name: str) -> None:
        hub, room = self.hub, self.hub.rooms[self.room.key]
        if what == SIT:
            self.seats.append(hub.attach("", str(number), prepare_name(name))[0])
        elif what == ASK:
            self.believe.append(set(room.names().names))
            assert self.believe[-1] == self.truth
        elif what == TELL:
            self.tell()
        elif self.seats:
            attachment = self.seats[number % len(self.seats)]
            if what == STAND:
                hub.detach(attachment, "lost")
                self.seats.remove(attachment)
            elif what == JOIN:
                hub.join(attachment, self.room)
            elif what == LEAVE:
                hub.leave(attachment, hub.room_of(attachment, "lobby"), "left")
            elif what == RENAME:
                hub.rename(attachment.member, prepare_name(name))

    def tell(self) -> None:
        notice = self.hub.rooms[self.room.key].notice()
        if notice is not None:
            self.believe = [told(names, notice) for names in self.believe]
            assert notice.members == len(self.truth)
        for names in self.believe:
            assert names == self.truth
        assert self.hub.rooms[self.room.key].notice() is None


@given(STEPS)
@example(
    # One session of ada leaves, a member requests the list, and the other session joins.
    [
        (SIT, 0, "ada"),
        (SIT, 0, "ada"),
        (JOIN, 0, ""),
        (TELL, 0, ""),
        (STAND, 0, ""),
        (ASK, 0, ""),
        (JOIN, 0, ""),
    ]
)
@example(
    # Bob leaves for a moment; meanwhile another member is shown under his name.
    [
        (SIT, 0, "ada"),
        (JOIN, 0, ""),
        (SIT, 1, "bob"),
        (JOIN, 1, ""),
        (TELL, 0, ""),
        (LEAVE, 1, ""),
        (RENAME, 1, "eva"),
        (RENAME, 0, "bob"),
        (ASK, 0, ""),
        (RENAME, 0, "ada"),
        (RENAME, 1, "bob"),
        (JOIN, 1, ""),
    ]
)
def test_all_notices_together_give_the_current_members(steps: list[tuple[str, int, str]]) -> None:
    town = Town()
    for what, number, name in steps:
        with suppress(Refused):
            town.step(what, number, name)
    town.tell()
