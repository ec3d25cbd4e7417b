"""Each condition of the inbox by itself: no entry is lost, duplicated, reordered or kept too long."""

import pytest

from tests.client.scripted import said
from trio_chat.client.event_size import event_bytes
from trio_chat.client.events import ClientEvent
from trio_chat.client.inbox import EVENT_BYTES, INBOX_BYTES_MIN, PAGE_ENTRIES, STRANGE_ROOMS, Inbox
from trio_chat.errors import ProtocolError
from trio_chat.wire.messages import Gap, History, HistoryPage, Members, Presence, Room, Said, Whispered, Who

MIB = 1 << 20


def room(name: str = "lobby", *, epoch: str = "another", head: int = 0, resumed: bool = False) -> Room:
    return Room(
        room=name, epoch=epoch, resumed=resumed, first=1, head=head, members=1, topic="", ref="joined"
    )


def whisper(text: str) -> Whispered:
    return Whispered("bob", "ada", text, 0)


def page(*entries: Said, more: bool = False) -> HistoryPage:
    return HistoryPage("lobby", list(entries), more=more, ref="q")


def put(inbox: Inbox, *events: ClientEvent, keep: bool = True) -> None:
    for event in events:
        inbox.put(event, keep)


def behind(*seen: int) -> Inbox:
    """Return an inbox that kept 1 and 2, which the program has taken, and that has seen later entries."""
    inbox = Inbox(2)
    inbox.enter("lobby", 0)
    put(inbox, said(1), said(2))
    put(inbox, *(said(seq) for seq in seen), keep=False)
    inbox.take_all()
    return inbox


Question = History | Who


def ask(inbox: Inbox) -> Question | None:
    return inbox.question("q")


def crowd_out(inbox: Inbox) -> None:
    """Put entries of as many rooms that were not joined as the inbox remembers."""
    put(inbox, *(said(9, f"strange {index}") for index in range(STRANGE_ROOMS)))


# --- gaps -------------------------------------------------------------------------------------------


def test_a_gap_is_not_applied_while_entries_before_it_are_missed() -> None:
    """Entry 3 was seen and not kept: if the gap were applied at once, it would never be requested."""
    inbox = behind(3)
    put(inbox, Gap("lobby", 3, 7, kept=False), said(7))
    assert inbox.take() is None
    assert ask(inbox) == History("lobby", after=2, limit=PAGE_ENTRIES, ref="q")
    inbox.answer(page(said(3), said(7)))
    assert inbox.take_all() == [said(3), Gap("lobby", 3, 7, kept=False), said(7)]
    assert not inbox.lagging


def test_a_gap_over_the_bound_is_requested_though_no_entry_follows() -> None:
    inbox = behind()
    put(inbox, Gap("lobby", 2, 7, kept=False), keep=False)
    assert inbox.newest("lobby") == 6
    assert ask(inbox) == History("lobby", after=2, limit=PAGE_ENTRIES, ref="q")


def test_a_gap_covers_exactly_its_entries() -> None:
    inbox = behind()
    put(inbox, Gap("lobby", 5, 9, kept=False))
    assert inbox.take_all() == [Gap("lobby", 5, 9, kept=False)]
    put(inbox, said(8), said(9))
    assert inbox.take_all() == [said(9)], "the room continues after the gap"
    assert list(inbox.strays) == [said(8)]


@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_gap_with_nothing_new_in_it_is_dropped(after: int) -> None:
    inbox = behind()
    put(inbox, Gap("lobby", after, 3, kept=False))
    assert inbox.take() is None


def test_leaving_reports_the_gap_to_a_program_with_an_empty_inbox() -> None:
    inbox = behind(3)
    inbox.leave("lobby")
    assert inbox.take() == Gap("lobby", 2, 4, kept=True)


# --- entries over the bound -----------------------------------------------------------------------


def test_the_newest_seen_entry_never_decreases() -> None:
    inbox = behind(9, 5)
    assert inbox.newest("lobby") == 9


def test_an_unknown_room_has_no_seen_entry() -> None:
    assert Inbox().newest("lobby") == 0


def test_joining_again_requests_nothing_from_before() -> None:
    inbox = behind(3)
    inbox.enter("lobby", 3)
    assert not inbox.lagging and ask(inbox) is None


def test_a_page_with_more_behind_it_implies_no_gap() -> None:
    inbox = behind(9)
    ask(inbox)
    inbox.answer(page(said(3), said(4), more=True))
    assert inbox.take_all() == [said(3), said(4)]
    assert ask(inbox) == History("lobby", after=4, limit=PAGE_ENTRIES, ref="q")


def test_a_last_page_that_ends_early_implies_a_gap() -> None:
    inbox = behind(9)
    ask(inbox)
    inbox.answer(page(said(3), said(4)))
    assert inbox.take_all() == [said(3), said(4), Gap("lobby", 4, 10, kept=False)]
    assert not inbox.lagging


def test_a_page_without_entries_is_the_last() -> None:
    inbox = behind(9)
    ask(inbox)
    inbox.answer(page(more=True))
    assert inbox.take_all() == [Gap("lobby", 2, 10, kept=False)]
    assert not inbox.lagging


def test_a_page_that_does_not_continue_is_an_error() -> None:
    inbox = behind(9)
    ask(inbox)
    with pytest.raises(ProtocolError, match="does not continue after 2"):
        inbox.answer(page(said(1), said(2), more=True))


def test_an_answer_of_another_type_is_an_error() -> None:
    inbox = behind(9)
    ask(inbox)
    with pytest.raises(ProtocolError, match="unexpected answer: members"):
        inbox.answer(Members("lobby", ["ada"], 1, more=False, ref="q"))
    assert inbox.take() is None


# --- presence and other events ------------------------------------------------------------------------------


def test_presence_of_an_unknown_room_is_delivered() -> None:
    inbox = Inbox()
    put(inbox, Presence("attic", 3))
    assert inbox.take() == Presence("attic", 3)


def test_presence_of_a_new_history_is_requested() -> None:
    inbox = behind()
    inbox.begin_anew("lobby", room(head=1), keep=True)
    put(inbox, Presence("lobby", 2))
    inbox.take_all()
    assert ask(inbox) == History("lobby", after=0, limit=PAGE_ENTRIES, ref="q")
    inbox.answer(page(said(1)))
    assert ask(inbox) == Who("lobby", ref="q")
    assert inbox.take_all() == [said(1)], "the answer will contain the members"


def test_other_events_do_not_overtake_the_overflow() -> None:
    inbox = Inbox(3)
    put(inbox, whisper("1"))
    put(inbox, whisper("2"), whisper("3"), keep=False)
    put(inbox, whisper("4"))
    assert inbox.take_all() == [whisper(text) for text in "1234"]


@pytest.mark.parametrize("was_resumed", [True, False])
def test_a_second_change_of_epoch_keeps_whether_the_first_ended_a_history(was_resumed: bool) -> None:
    inbox = Inbox(1)
    inbox.enter("lobby", 0)
    put(inbox, whisper("full"))
    if was_resumed:
        inbox.change_epoch("lobby", room(epoch="a", resumed=True), keep=False)
    else:
        inbox.begin_anew("lobby", room(epoch="a"), keep=False)
    inbox.change_epoch("lobby", room(epoch="b", resumed=True), keep=False)
    (_, event) = inbox.take_all()
    assert isinstance(event, Room)
    assert (event.epoch, event.ref, event.resumed) == ("b", "", was_resumed)


# --- rooms under another name -----------------------------------------------------------------------


def test_a_room_resumed_under_another_name_is_requested_by_that_name() -> None:
    inbox = behind(3)
    inbox.resume("lobby", "Lobby")
    assert ask(inbox) == History("Lobby", after=2, limit=PAGE_ENTRIES, ref="q")
    inbox.answer(page(said(3)))
    assert ask(inbox) == Who("Lobby", ref="q")
    inbox.answer(Members("Lobby", ["ada"], 1, more=False, ref="q"))
    assert ask(inbox) is None
    assert (inbox.newest("Lobby"), inbox.newest("lobby")) == (3, 0)


def test_a_waiting_room_event_gets_the_present_name_of_the_room() -> None:
    inbox = Inbox(1)
    inbox.enter("lobby", 0)
    put(inbox, whisper("full"))
    inbox.begin_anew("lobby", room(), keep=False)
    inbox.resume("lobby", "Lobby")
    (_, event) = inbox.take_all()
    assert isinstance(event, Room) and event.room == "Lobby"


def test_an_unknown_room_is_resumed_from_its_beginning() -> None:
    inbox = Inbox()
    inbox.resume("lobby", "lobby")
    assert inbox.newest("lobby") == 0
    put(inbox, said(1))
    assert inbox.take() == said(1)


# --- rooms that were not joined --------------------------------------------------------------------


def test_the_first_entry_of_a_room_that_was_not_joined_sets_its_cursor() -> None:
    inbox = Inbox()
    put(inbox, said(41, "attic"), keep=False)
    assert ask(inbox) == History("attic", after=40, limit=PAGE_ENTRIES, ref="q")


def test_no_room_begins_before_its_first_number() -> None:
    inbox = Inbox()
    put(inbox, said(0, "attic"))
    assert inbox.take() is None


def test_the_oldest_room_that_was_not_joined_is_forgotten_at_the_bound() -> None:
    inbox = Inbox()
    put(inbox, said(9, "attic"))
    put(inbox, *(said(9, f"strange {index}") for index in range(STRANGE_ROOMS - 1)))
    assert inbox.newest("attic") == 9
    put(inbox, said(9, "one more"))
    assert (inbox.newest("attic"), inbox.newest("strange 0")) == (0, 9)
    put(inbox, said(9, "two more"))
    assert inbox.newest("strange 0") == 0


def test_a_forgotten_room_is_not_requested() -> None:
    inbox = Inbox()
    put(inbox, said(9, "attic"), keep=False)
    crowd_out(inbox)
    assert not inbox.lagging and ask(inbox) is None


def test_a_joined_room_is_not_forgotten() -> None:
    inbox = Inbox()
    put(inbox, said(9, "attic"), said(9, "cellar"), said(9, "lobby"), said(9, "hall"))
    inbox.enter("attic", 5)
    inbox.resume("cellar", "cellar")
    inbox.resume("hall", "lobby")
    crowd_out(inbox)
    assert [inbox.newest(name) for name in ("attic", "cellar", "lobby", "hall")] == [5, 9, 9, 0]


def test_a_room_with_a_new_history_is_not_forgotten() -> None:
    inbox = Inbox()
    put(inbox, said(9, "attic"), said(9, "lobby"))
    inbox.begin_anew("attic", room("attic", head=3), keep=True)
    inbox.begin_anew("cellar", room("lobby", head=4), keep=True)
    crowd_out(inbox)
    assert [inbox.newest(name) for name in ("attic", "lobby")] == [3, 4]


def test_a_room_that_was_left_has_no_position_to_forget() -> None:
    inbox = Inbox()
    put(inbox, said(9, "attic"), said(9, "cellar"))
    inbox.leave("attic")
    inbox.resume("cellar", "Cellar")
    crowd_out(inbox)
    crowd_out(inbox)
    assert (inbox.newest("attic"), inbox.newest("Cellar")) == (0, 9)


# --- weight -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("bound", "many"), [(100, 4), (5 * MIB // EVENT_BYTES, 5)])
def test_an_inbox_is_full_by_weight(bound: int, many: int) -> None:
    """The limit is the weight of `bound` ordinary events, and at least 4 MiB."""
    inbox = Inbox(bound)
    heavy = whisper("x" * MIB)
    put(inbox, *[heavy] * (many - 1))
    assert [inbox.full for _ in range(3)] == [False] * 3, "each event is weighed once"
    seen = []
    for step in (put, Inbox.take, put):
        step(inbox, *[heavy] * (step is put))
        seen.append(inbox.full)
    assert seen == [True, False, True]


def test_an_inbox_is_full_at_its_weight_exactly() -> None:
    for lack, is_full in ((1, False), (0, True)):
        inbox = Inbox()
        put(inbox, whisper("x" * (INBOX_BYTES_MIN - event_bytes(whisper("")) - lack)))
        assert inbox.full is is_full


def test_events_taken_before_they_were_weighed_do_not_count() -> None:
    inbox = Inbox()
    heavy = whisper("x" * MIB)
    put(inbox, *[heavy] * 3)
    for _ in range(3):
        inbox.take()
    put(inbox, *[heavy] * 4)
    assert inbox.full
