"""The inbox over an outage: where a room resumes, and when a new history begins."""

from hypothesis import given
from hypothesis import strategies as st

from tests.client.scripted import said
from trio_chat.client.events import ClientEvent
from trio_chat.client.inbox import PAGE_ENTRIES, Inbox
from trio_chat.wire.messages import Gap, History, HistoryPage, Members, Presence, Room, Said, Whispered, Who


def answer(head: int, *, first: int = 1, epoch: str = "another", ref: str = "") -> Room:
    return Room(
        room="lobby", epoch=epoch, resumed=False, first=first, head=head, members=1, topic="", ref=ref
    )


def put(inbox: Inbox, *events: ClientEvent) -> None:
    keep = not inbox.full
    for event in events:
        inbox.put(event, keep)


def behind() -> Inbox:
    """Return an inbox of two events that has kept 1 and 2 and seen up to 5."""
    inbox = Inbox(2)
    inbox.enter("lobby", 0)
    put(inbox, said(1), said(2))
    put(inbox, said(3), said(5))
    return inbox


def test_a_resumed_room_continues_after_the_newest_seen_entry_and_requests_missed_ones() -> None:
    inbox = behind()
    assert inbox.newest("lobby") == 5
    inbox.take_all()
    assert inbox.question("q") == History("lobby", after=2, limit=PAGE_ENTRIES, ref="q")
    inbox.lost()
    inbox.resume("lobby", "lobby")
    put(inbox, said(6))
    assert inbox.take() is None
    assert inbox.question("r") == History("lobby", after=2, limit=PAGE_ENTRIES, ref="r")
    page = [said(seq) for seq in range(3, 7)]
    inbox.answer(HistoryPage("lobby", list(page), more=False, ref="r"))
    assert inbox.take_all() == page
    put(inbox, said(7))
    assert inbox.take_all() == [said(7)]
    assert inbox.question("s") == Who("lobby", ref="s"), "presence counts as missed"


def test_presence_is_held_back_until_the_members_are_known() -> None:
    inbox = Inbox()
    inbox.enter("lobby", 0)
    inbox.resume("lobby", "lobby")
    put(inbox, Presence("lobby", 2, joined=["bob"]))
    assert inbox.take() is None
    inbox.question("q")
    inbox.answer(Members("lobby", ["ada", "bob"], 2, more=False, ref="q"))
    put(inbox, Presence("lobby", 3, joined=["eve"]))
    assert inbox.take_all() == [
        Members("lobby", ["ada", "bob"], 2, more=False),
        Presence("lobby", 3, joined=["eve"]),
    ]


def test_missed_entries_of_an_ended_history_are_a_gap() -> None:
    inbox = behind()
    inbox.begin_anew("lobby", answer(0, ref="r.9"), keep=not inbox.full)
    assert inbox.take_all() == [said(1), said(2), Gap("lobby", 2, 6, kept=False), answer(0)]
    put(inbox, said(1))
    assert inbox.take_all() == [said(1)]


def test_the_newest_page_of_a_new_history_is_requested_as_far_as_it_is_kept() -> None:
    for head, first, after in ((500, 1, 300), (500, 450, 449), (7, 8, 7), (20, 1, 0)):
        inbox = Inbox()
        inbox.enter("lobby", 900)
        inbox.begin_anew("lobby", answer(head, first=first), keep=True)
        put(inbox, said(head + 1))
        assert inbox.take() == answer(head, first=first)
        if after < head:
            assert inbox.take() is None
            assert inbox.question("q") == History("lobby", after=after, limit=PAGE_ENTRIES, ref="q")
        else:
            assert inbox.take() == said(head + 1)


@given(
    st.lists(st.sampled_from(["room", "whisper", "entries", "take", "all"]), max_size=40), st.integers(1, 4)
)
def test_no_entry_of_a_new_history_overtakes_its_room_event(story: list[str], bound: int) -> None:
    """Kept events are delivered in order of arrival, however full the inbox was."""
    inbox = Inbox(bound)
    inbox.enter("lobby", 0)
    epoch, heads, heard = 0, 0, list[ClientEvent]()
    for step in story:
        match step:
            case "room":
                epoch, heads = epoch + 1, 0
                inbox.begin_anew("lobby", answer(0, epoch=str(epoch)), keep=not inbox.full)
            case "whisper":
                put(inbox, Whispered("bob", "ada", "psst", 0))
            case "entries":
                heads += 1
                put(inbox, said(heads, text=f"{epoch} {heads}"))
            case "take":
                event = inbox.take()
                heard += [event] if event else []
            case "all":
                heard += inbox.take_all()
        assert len(inbox) <= (bound + 1) + (bound + 2), "a gap and a room come at once, and are not dropped"
    heard += inbox.take_all()
    now = "0"
    for event in heard:
        if isinstance(event, Room):
            assert int(event.epoch) > int(now)
            now = event.epoch
        elif isinstance(event, Said):
            assert event.text.split()[0] == now


def test_a_history_without_kept_entries_is_not_reported() -> None:
    inbox = behind()
    inbox.enter("attic", 0)
    for epoch in ("b", "c", "d"):
        inbox.begin_anew("lobby", answer(9, epoch=epoch), keep=not inbox.full)
        put(inbox, Whispered("bob", "ada", epoch, 0))
    assert inbox.take_all() == [
        said(1),
        said(2),
        Gap("lobby", 2, 6, kept=False),
        Whispered("bob", "ada", "c", 0),
        answer(9, epoch="d"),
        Whispered("bob", "ada", "d", 0),
    ]
