"""What a server makes up: the judge finds it, and keeps no more of it than a run has users and messages."""

import pytest

from trio_chat.contract import BreachKind, Findings, Judge, Visit
from trio_chat.contract.breaches import BREACHES_KEPT, WORDS_CHARACTERS_MAX
from trio_chat.contract.truth import DISPUTED_CHARACTERS, DISPUTES_KEPT, REACH_BACK_MAX
from trio_chat.wire.messages import MAX_NUMBER, Said


def entered(judge: Judge, user: str, head: int = 0, epoch: str = "e") -> Visit:
    judge.asks("lobby", user)
    return judge.entered("lobby", user, epoch=epoch, head=head, members=1)


def words_of(findings: Findings) -> list[str]:
    return [breach.words for breach in findings.breaches]


def test_names_without_an_end_are_breaches_and_are_not_kept() -> None:
    judge = Judge()
    visit = entered(judge, "ada")
    entered(judge, "bob")
    for number in range(3_000):
        visit.noticed(2, [f"stranger {number}", "bob"], [(f"stranger {number}", "quit"), ("bob", "quit")])
    hearing = visit.hearing
    assert len(hearing._notices) == 1
    assert (hearing._joined, hearing._left) == ({"bob": 1}, {"bob": 1})
    assert judge.findings.counts == {BreachKind.PRESENCE: 4 * 3_000 - 2}
    assert words_of(judge.findings)[:2] == [
        "ada was told that stranger 0 joined, which was never in the room",
        "ada was told that stranger 0 left, which was never in the room",
    ]
    assert "ada was told that bob joined lobby, once more than it did" in words_of(judge.findings)


def test_notices_of_unknown_users_are_not_kept() -> None:
    judge = Judge()
    visit = entered(judge, "ada")
    for _ in range(100):
        visit.noticed(1, [], [])
    assert visit.hearing._notices == []
    assert judge.findings.total == 0


def test_who_comes_again_may_be_told_of_again() -> None:
    judge = Judge()
    visit = entered(judge, "ada")
    for count in range(1, 6):
        bob = entered(judge, "bob")
        visit.noticed(2, ["bob"], [])
        bob.going("quit", "quit")
        visit.noticed(1, [], [("bob", "quit")])
        bob.gone()
        assert len(visit.hearing._notices) == 2 * count
    judge.hold_to_account()
    assert words_of(judge.finish()) == []


@pytest.mark.parametrize(
    ("after", "following"),
    [(0, MAX_NUMBER), (MAX_NUMBER - 1, MAX_NUMBER), (MAX_NUMBER, 0), (0, 10**400), (10**400, 1)],
)
def test_a_gap_beyond_all_that_was_said_is_a_breach_and_no_gap(after: int, following: int) -> None:
    judge = Judge()
    visit = entered(judge, "ada")
    judge.says("lobby", "ada", "hello")
    visit.skipped(after, following)
    assert (visit.cursor, visit.gaps, len(visit._holes)) == (0, 0, 0)
    assert judge.findings.counts == {BreachKind.PHANTOM: 1}
    visit.saw(Said("lobby", 1, 1, "ada", "hello"))
    assert visit.verified == 1


def test_gaps_without_an_end_are_kept_once_for_each_number() -> None:
    judge = Judge()
    visit = entered(judge, "ada")
    for _ in range(1_000):
        for number in range(1, 20):
            visit.skipped(number - 1, number + 1)
            visit.skipped(number, number - 1)
    assert len(visit.skipped_over) == visit.gaps == 19
    assert judge.findings.total == 0


@pytest.mark.parametrize("head", [MAX_NUMBER, REACH_BACK_MAX + 2])
def test_a_head_far_behind_that_of_others_is_a_breach_and_bounded(head: int) -> None:
    judge = Judge()
    entered(judge, "ada", head=head)
    bob = entered(judge, "bob", head=1)
    assert len(bob.truth.entries) == len(bob.truth.tags) == REACH_BACK_MAX
    assert words_of(judge.findings) == [
        f"bob was let into lobby at 1, where {head} was the newest before",
    ]
    judge.hold_to_account()
    judge.finish()


def test_a_head_not_so_far_behind_is_none() -> None:
    judge = Judge()
    entered(judge, "ada", head=REACH_BACK_MAX)
    entered(judge, "bob", head=0)
    assert judge.findings.total == 0


def test_long_texts_that_no_user_said_are_disputed_within_a_bound() -> None:
    judge = Judge()
    visit = entered(judge, "ada")
    text = "x" * 60_000
    for number in range(1_000):
        visit.saw(Said("lobby", 1 + number % 50, 1, "bob", f"{number} {text}"))
        visit.cursor = 0
    assert len(visit.truth._disputes) == DISPUTED_CHARACTERS // 60_000 + 1
    assert visit.truth.disputed == 1_000
    findings = judge.finish()
    assert findings.counts[BreachKind.PHANTOM] == DISPUTED_CHARACTERS // 60_000 + 1
    assert visit.truth._disputes == [] and visit.truth._disputed_characters == 0


class Counted(Said, frozen=True):
    """An entry that counts how often it is compared."""

    def __eq__(self, other: object) -> bool:
        COMPARED.append(1)
        return self is other

    def __hash__(self) -> int:
        return hash(self.text)


COMPARED: list[int] = []


def test_disputes_over_one_number_are_settled_in_as_many_steps_as_there_are() -> None:
    judge = Judge()
    visit = entered(judge, "ada")
    for number in range(2_000):
        visit.saw(Counted("lobby", 1, 1, "bob", f"made up {number}"))
        visit.cursor = 0
    COMPARED.clear()
    judge.finish()
    assert len(COMPARED) < 10_000
    assert DISPUTES_KEPT > 2_000


def test_the_words_of_a_breach_are_bounded_and_on_one_line() -> None:
    findings = Findings()
    for _ in range(2 * BREACHES_KEPT):
        findings.add(BreachKind.PRESENCE, "lobby", "ada", "\x1b[2J" + "x" * 60_000)
    assert len(findings.breaches) == BREACHES_KEPT
    assert {len(breach.words) for breach in findings.breaches} == {WORDS_CHARACTERS_MAX}
    assert findings.breaches[0].words.isprintable()
    assert findings.total == 2 * BREACHES_KEPT
