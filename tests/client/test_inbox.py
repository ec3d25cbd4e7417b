"""The inbox alone: the test acts as the reader and as the program."""

from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from tests.client.scripted import said
from trio_chat.client.events import ClientEvent
from trio_chat.client.inbox import PAGE_ENTRIES, Inbox
from trio_chat.wire.messages import (
    Error,
    Gap,
    History,
    HistoryPage,
    Members,
    Named,
    Presence,
    Said,
    TypingNotice,
    Whispered,
    Who,
)


def put(inbox: Inbox, *events: ClientEvent) -> None:
    """Put the events of one read, as the reader does."""
    keep = not inbox.full
    for event in events:
        inbox.put(event, keep)


def whisper(text: str) -> Whispered:
    return Whispered("bob", "ada", text, 0)


def page(*entries: Said, more: bool = False, room: str = "lobby") -> HistoryPage:
    return HistoryPage(room, list(entries), more=more, ref="q")


def full_inbox(bound: int = 2) -> Inbox:
    """Return an inbox that holds entries up to its bound."""
    inbox = Inbox(bound)
    inbox.enter("lobby", 0)
    put(inbox, *(said(seq) for seq in range(1, bound + 1)))
    assert inbox.full
    return inbox


def drained(inbox: Inbox) -> list[ClientEvent]:
    return inbox.take_all()


# --- with space -------------------------------------------------------------------------------------


def test_events_are_taken_in_order_of_arrival() -> None:
    inbox = Inbox()
    inbox.enter("lobby", 0)
    events: list[ClientEvent] = [
        said(1),
        Presence("lobby", 2, joined=["eve"]),
        TypingNotice("lobby", "eve"),
        whisper("psst"),
        Named("ada_2"),
        said(2),
        Members("lobby", ["ada"], 1, more=False),
        Error("bad_message", "what?"),
    ]
    put(inbox, *events)
    assert inbox.take() == events[0]
    assert drained(inbox) == events[1:]
    assert inbox.take() is None
    assert drained(inbox) == []
    assert inbox.question("q") is None


def test_one_read_may_go_over_the_bound() -> None:
    inbox = Inbox(2)
    put(inbox, *(said(seq) for seq in range(1, 9)))
    assert inbox.full
    assert len(inbox) == 8
    assert inbox.question("q") is None


def test_entries_of_a_room_that_was_never_joined_are_kept() -> None:
    inbox = Inbox()
    put(inbox, Gap("attic", 3, 7, kept=False), said(7, "attic"), said(41, "cellar"))
    assert len(drained(inbox)) == 3


# --- over the bound -------------------------------------------------------------------------------


def test_entries_over_the_bound_are_requested_after_the_last_kept_one() -> None:
    inbox = full_inbox(2)
    put(inbox, said(3), said(4))
    assert len(inbox) == 2
    drained(inbox)
    assert inbox.question("q") == History("lobby", after=2, limit=PAGE_ENTRIES, ref="q")
    assert inbox.question("q2") is None, "only one request is open at a time"
    inbox.answer(page(said(3), said(4)))
    assert drained(inbox) == [said(3), said(4)]
    assert not inbox.lagging
    put(inbox, said(5))
    assert drained(inbox) == [said(5)], "live again"


def test_a_lagging_room_keeps_no_live_entries_until_a_page_reaches_the_stream() -> None:
    inbox = full_inbox(2)
    put(inbox, said(3))
    drained(inbox)
    put(inbox, said(4))
    assert len(inbox) == 0
    inbox.question("q")
    put(inbox, said(5))
    inbox.answer(page(said(3), said(4)))
    put(inbox, said(6))
    assert drained(inbox) == [said(3), said(4)]
    assert inbox.question("q") == History("lobby", after=4, limit=PAGE_ENTRIES, ref="q")
    inbox.answer(page(said(5), said(6)))
    assert drained(inbox) == [said(5), said(6)]
    assert not inbox.lagging


def test_live_entries_that_a_page_contained_are_not_duplicated() -> None:
    inbox = full_inbox(2)
    put(inbox, said(3))
    drained(inbox)
    inbox.question("q")
    inbox.answer(page(said(3), said(4), said(5)))
    assert drained(inbox) == [said(3), said(4), said(5)]
    put(inbox, said(4), said(5), said(6))
    assert drained(inbox) == [said(6)]


def test_page_entries_that_came_live_are_not_duplicated() -> None:
    inbox = full_inbox(2)
    put(inbox, said(3))
    drained(inbox)
    inbox.question("q")
    inbox.answer(page(said(1), said(2), said(3)))
    assert drained(inbox) == [said(3)]


def test_entries_removed_by_retention_are_a_gap() -> None:
    inbox = full_inbox(2)
    put(inbox, *(said(seq) for seq in range(3, 10)))
    drained(inbox)
    inbox.question("q")
    inbox.answer(page(said(8), said(9)))
    assert drained(inbox) == [Gap("lobby", 2, 8, kept=False), said(8), said(9)]
    assert not inbox.lagging


def test_an_empty_journal_ends_the_catching_up() -> None:
    inbox = full_inbox(2)
    put(inbox, said(3), said(4))
    drained(inbox)
    inbox.question("q")
    inbox.answer(page())
    assert drained(inbox) == [Gap("lobby", 2, 5, kept=False)]
    put(inbox, said(5))
    assert drained(inbox) == [said(5)]


def test_a_last_page_counts_up_to_the_newest_entry_seen_when_it_was_requested() -> None:
    """Entries that arrived after the request are not missing because the page does not contain them."""
    inbox = full_inbox(2)
    put(inbox, said(3))
    drained(inbox)
    inbox.question("q")
    put(inbox, said(4), said(5))
    inbox.answer(page(said(3)))
    assert drained(inbox) == [said(3)]
    assert inbox.question("q") == History("lobby", after=3, limit=PAGE_ENTRIES, ref="q")


def test_rooms_catch_up_one_after_another() -> None:
    inbox = full_inbox(2)
    inbox.enter("attic", 70)
    put(inbox, said(71, "attic"), said(3))
    drained(inbox)
    first, second = inbox.question("q"), inbox.question("q")
    assert isinstance(first, History) and first.room == "attic" and second is None
    inbox.answer(page(said(71, "attic"), room="attic"))
    assert inbox.question("q") == History("lobby", after=2, limit=PAGE_ENTRIES, ref="q")


def test_a_gap_over_the_bound_is_found_in_the_pages() -> None:
    inbox = full_inbox(2)
    put(inbox, Gap("lobby", 2, 50, kept=False), said(50))
    drained(inbox)
    inbox.question("q")
    inbox.answer(page(said(50)))
    assert drained(inbox) == [Gap("lobby", 2, 50, kept=False), said(50)]


def test_a_gap_that_a_page_has_shown_is_not_duplicated() -> None:
    inbox = full_inbox(2)
    put(inbox, said(3))
    drained(inbox)
    inbox.question("q")
    inbox.answer(page(said(60)))
    assert drained(inbox) == [Gap("lobby", 2, 60, kept=False), said(60)]
    put(inbox, Gap("lobby", 3, 60, kept=False), said(60), Gap("lobby", 55, 70, kept=False), said(70))
    assert drained(inbox) == [Gap("lobby", 60, 70, kept=False), said(70)]


def test_missed_presence_is_replaced_by_one_page_of_who() -> None:
    inbox = full_inbox(2)
    put(inbox, Presence("lobby", 3, joined=["eve"]), Presence("lobby", 2), said(3))
    drained(inbox)
    put(inbox, Presence("lobby", 4, joined=["joe"]))
    assert len(inbox) == 0, "the answer will contain it"
    assert isinstance(inbox.question("q"), History)
    inbox.answer(page(said(3)))
    assert inbox.question("q") == Who("lobby", ref="q")
    inbox.answer(Members("lobby", ["ada", "joe"], 2, more=False, ref="q"))
    assert drained(inbox) == [said(3), Members("lobby", ["ada", "joe"], 2, more=False)]
    put(inbox, Presence("lobby", 1))
    assert len(inbox) == 1
    assert not inbox.lagging


def test_presence_of_unknown_rooms_and_typing_over_the_bound_are_dropped() -> None:
    inbox = full_inbox(2)
    put(inbox, Presence("attic", 3), TypingNotice("lobby", "bob"))
    assert len(inbox) == 2
    assert not inbox.lagging


def test_whispers_over_the_bound_are_kept_in_order_up_to_a_second_bound() -> None:
    inbox = full_inbox(2)
    put(inbox, whisper("a"), Named("b"), Error("c", "c"))
    assert inbox.take() == said(1)
    put(inbox, whisper("d"), whisper("e"))
    rest = [said(2), Named("b"), whisper("d"), whisper("e")]
    assert drained(inbox) == rest, "the oldest events over the bound are dropped"
    put(inbox, whisper("e"))
    assert inbox.take() == whisper("e")


# --- leaving, joining, refusals --------------------------------------------------------------------


def test_leaving_a_lagging_room_reports_the_missed_entries() -> None:
    inbox = full_inbox(2)
    put(inbox, said(3), said(9))
    inbox.leave("lobby")
    assert drained(inbox)[2:] == [Gap("lobby", 2, 10, kept=True)]
    assert inbox.question("q") is None
    inbox.leave("lobby")
    assert len(inbox) == 0


def test_giving_up_reports_the_missed_entries_of_every_lagging_room() -> None:
    inbox = full_inbox(2)
    inbox.enter("attic", 70)
    inbox.enter("cellar", 4)
    put(inbox, said(3), said(71, "attic"), Presence("cellar", 1))
    inbox.give_up()
    assert drained(inbox)[2:] == [Gap("lobby", 2, 4, kept=True), Gap("attic", 70, 72, kept=True)]
    assert not inbox.lagging


def test_joining_again_resets_the_room() -> None:
    inbox = full_inbox(2)
    put(inbox, said(3))
    inbox.leave("lobby")
    drained(inbox)
    inbox.enter("lobby", 0)
    put(inbox, said(1), said(2))
    assert drained(inbox) == [said(1), said(2)], "the numbers may be those of another journal"


def test_an_answer_about_a_room_that_was_left_is_dropped() -> None:
    inbox = full_inbox(2)
    put(inbox, said(3))
    drained(inbox)
    inbox.question("q")
    inbox.leave("lobby")
    inbox.enter("lobby", 3)
    drained(inbox)
    inbox.answer(page(said(3)))
    assert len(inbox) == 0
    put(inbox, said(4))
    assert drained(inbox) == [said(4)]


def test_a_temporarily_refused_request_is_repeated() -> None:
    inbox = full_inbox(2)
    put(inbox, said(3))
    drained(inbox)
    inbox.question("q")
    assert inbox.refuse("rate_limited")
    assert inbox.question("q") == History("lobby", after=2, limit=PAGE_ENTRIES, ref="q")


def test_a_permanently_refused_request_leaves_a_gap() -> None:
    inbox = full_inbox(2)
    put(inbox, said(3), Presence("lobby", 9))
    drained(inbox)
    inbox.question("q")
    assert not inbox.refuse("forbidden")
    assert drained(inbox) == [Gap("lobby", 2, 4, kept=True)]
    put(inbox, said(4), Presence("lobby", 8))
    assert drained(inbox) == [said(4), Presence("lobby", 8)]
    assert inbox.question("q") is None


def test_a_permanently_refused_who_is_not_repeated() -> None:
    inbox = full_inbox(2)
    put(inbox, Presence("lobby", 9))
    drained(inbox)
    assert isinstance(inbox.question("q"), Who)
    assert not inbox.refuse("not_in_room")
    assert len(inbox) == 0
    assert not inbox.lagging


def test_a_refusal_about_a_room_that_was_left_is_dropped() -> None:
    inbox = full_inbox(2)
    put(inbox, said(3))
    inbox.question("q")
    inbox.leave("lobby")
    assert not inbox.refuse("rate_limited")


# --- the whole protocol -----------------------------------------------------------------------------


class JournalModel:
    """A journal that commits, sends and removes entries; bytes in transit; and a program with an inbox."""

    def __init__(self, bound: int) -> None:
        self.inbox = Inbox(bound)
        self.inbox.enter("lobby", 0)
        self.committed = self.shown = 0
        self.first = 1
        self.page_entries = 3
        self.stream: deque[Said | History] = deque()
        self.pages: dict[str, HistoryPage] = {}
        self.asked: list[History] = []
        self.heard: list[ClientEvent] = []

    def commit(self, n: int) -> None:
        self.committed += n

    def show(self, n: int) -> None:
        for _ in range(min(n, self.committed - self.shown)):
            self.shown += 1
            self.stream.append(said(self.shown))

    def forget(self, n: int) -> None:
        self.first = min(self.first + n, self.committed + 1)

    def respond(self, n: int) -> None:
        """Answer the open request from all committed entries, also those that were not sent yet."""
        while self.asked:
            question = self.asked.pop(0)
            assert isinstance(question.after, int)
            kept = range(max(question.after + 1, self.first), self.committed + 1)
            entries = [said(seq) for seq in kept[: self.page_entries]]
            self.pages[question.ref] = page(*entries, more=len(kept) > len(entries))
            self.stream.append(question)

    def read(self, n: int) -> None:
        keep = not self.inbox.full
        for _ in range(min(n, len(self.stream))):
            event = self.stream.popleft()
            if isinstance(event, Said):
                self.inbox.put(event, keep)
            else:
                self.inbox.answer(self.pages[event.ref])

    def take(self, n: int) -> None:
        for _ in range(n):
            event = self.inbox.take()
            if event is not None:
                self.heard.append(event)
                continue
            question = self.inbox.question(f"q{len(self.pages)}")
            if question is None:
                return
            assert isinstance(question, History)
            self.asked.append(question)

    def settle(self) -> None:
        self.show(self.committed)
        for _ in range(3 * self.committed + 3):
            self.respond(1)
            self.read(100)
            self.take(100)


@given(
    bound=st.integers(1, 4),
    steps=st.lists(
        st.tuples(
            st.sampled_from(
                [
                    JournalModel.commit,
                    JournalModel.show,
                    JournalModel.forget,
                    JournalModel.respond,
                    JournalModel.read,
                    JournalModel.take,
                ]
            ),
            st.integers(1, 5),
        ),
        max_size=60,
    ),
)
def test_every_entry_is_received_once_in_order_or_covered_by_a_gap(
    bound: int, steps: list[tuple[object, int]]
) -> None:
    model = JournalModel(bound)
    for step, n in steps:
        assert callable(step)
        step(model, n)
    model.settle()
    at = 0
    for event in model.heard:
        if isinstance(event, Gap):
            assert event.after == at and not event.kept
            assert event.next <= model.first, "a gap may cover only entries that the journal has removed"
            at = event.next - 1
        else:
            assert isinstance(event, Said)
            assert event.seq == at + 1
            at = event.seq
    assert at == model.committed
