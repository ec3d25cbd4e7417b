"""A draft becomes an entry, and recognizes that entry."""

import pytest

from trio_chat.journal.store import Draft, EntryPage
from trio_chat.wire.messages import Said, TopicChanged

TEXT = Draft("lobby", "Lobby", "ada", "hello", ref="r1")
ACTION = Draft("lobby", "Lobby", "ada", "waves", action=True)
TOPIC = Draft("lobby", "Lobby", "ada", "hello", is_topic=True)


def test_a_draft_of_a_text_becomes_said() -> None:
    assert TEXT.entry(7, 1_000) == Said("Lobby", 7, 1_000, "ada", "hello")
    assert ACTION.entry(7, 1_000) == Said("Lobby", 7, 1_000, "ada", "waves", action=True)


def test_a_draft_of_a_topic_becomes_topic_changed() -> None:
    assert TOPIC.entry(7, 1_000) == TopicChanged("Lobby", 7, 1_000, "ada", "hello")


@pytest.mark.parametrize("draft", [TEXT, ACTION, TOPIC])
def test_a_draft_is_the_same_as_its_entry_and_no_other(draft: Draft) -> None:
    for other in (TEXT, ACTION, TOPIC):
        assert draft.same_as(other.entry(3, 5)) == (draft is other)


def test_a_draft_is_the_same_after_a_rename() -> None:
    assert TEXT.same_as(Said("Lobby", 1, 1, "eva", "hello"))


@pytest.mark.parametrize(
    "entry",
    [
        Said("Lobby", 1, 1, "ada", "Hello"),
        Said("Lobby", 1, 1, "ada", "hello", action=True),
        TopicChanged("Lobby", 1, 1, "ada", "hello"),
    ],
)
def test_another_text_action_or_kind_is_not_the_same(entry: Said | TopicChanged) -> None:
    assert not TEXT.same_as(entry)


def test_a_page_knows_its_last_number() -> None:
    assert EntryPage(5, [b"a", b"b"]).last == 6
    assert EntryPage(5, []).last == 4
