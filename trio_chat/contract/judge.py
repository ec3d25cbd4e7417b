"""The judge: takes the facts of a run and returns the verdict."""

from collections.abc import Callable

from trio_chat.contract.breaches import BreachKind, Findings, numbers
from trio_chat.contract.histories import Histories, Question
from trio_chat.contract.presence import PresenceTruth
from trio_chat.contract.stay import Visit
from trio_chat.contract.truth import REACH_BACK_MAX, Entry, SentMessage, Truth

__all__ = ["Judge"]


class Judge:
    """Take facts in the order in which they happened; `finish` returns the verdict, once.

    Only users that the judge knows may be in the rooms. Each message must have a unique text. `is_like` tells
    whether an entry is of the kind that the users send, for example a text and not a topic.
    """

    def __init__(self, is_like: Callable[[Entry], bool] = lambda _: True) -> None:
        self.findings = Findings()
        self.stays: list[Visit] = []
        self._sayings: dict[str, SentMessage] = {}
        self._histories = Histories(self._sayings, is_like)
        self._truths = self._histories.truths  # by room and epoch
        self._last_in: dict[tuple[str, str], str] = {}  # by room and user: the epoch it knows
        self._questions: dict[tuple[str, str], Question] = {}  # by room and user, the newest
        self._censuses: dict[str, PresenceTruth] = {}
        self._unanswered: dict[str, SentMessage] = {}
        self._now = 0

    # --- facts ----------------------------------------------------------------------------------------

    def says(self, room: str, author: str, text: str, tag: int = 0) -> None:
        """A user is about to send a message."""
        saying = self._sayings[text] = SentMessage(room, author, text, tag)
        self._unanswered[text] = saying

    def says_again(self, text: str) -> None:
        """A user is about to send the message again with the same ref: it must be stored once. Its tag is
        void."""
        saying = self._sayings[text]
        saying.tag = 0
        saying.again = True

    def acked(self, text: str, seq: int) -> None:
        """The acknowledgement of a message has arrived, with this number."""
        saying = self._sayings[text]
        self._unanswered.pop(text, None)
        if self._histories.generation(saying.room) and self._is_lost(saying, seq):
            return  # it was in flight when the machine crashed
        if saying.acked not in (0, seq):
            words = f"{saying.author} was acked {saying.room} {saying.acked} and {seq} for one message"
            self.findings.add(BreachKind.ACK, saying.room, saying.author, words)
        saying.acked = seq

    def excused(self, text: str) -> None:
        """The fate of a message will not be known: it need not be acknowledged, and may be shown."""
        self._unanswered.pop(text, None)

    def refused(self, text: str) -> None:
        """A message was refused: it must not be shown, unless it was also sent before."""
        self.excused(text)
        self._sayings[text].refused = True

    def lost_tail(self, room: str, kept: int) -> None:
        """The machine with the journal crashed: the room's entries up to the number `kept` are left.

        Later entries need not be kept or shown. From now on the room has another history: a client that is
        resumed in it as if it were the same would mistake new entries for those that it has seen.

        An answer to a `join` from before the crash belongs to the old history, whenever it arrives.
        """
        self._histories.crash(room, kept)

    def asks(self, room: str, user: str) -> None:
        """A user is about to send `join`, on a connection made after the last crash of the machine."""
        now = self._tick()
        self._questions[room, user] = Question(self._histories.generation(room), now)
        self._census(room).asks(user, now)

    def gave_up(self, room: str, user: str, *whys: str) -> None:
        """The connection was lost before the answer to `join`: the user may have been in the room or not."""
        self._census(room).gave_up(user, frozenset(whys))

    def entered(
        self,
        room: str,
        user: str,
        *,
        epoch: str,
        head: int,
        members: int,
        after: int | None = None,
        resumed: bool = False,
        recent: int = 0,
    ) -> Visit:
        """A user has entered a room. `after` is its cursor, `resumed` tells whether the server accepted it,
        and `recent` is the number of older entries that the server sends to a user without a cursor.

        A user whose cursor was not accepted is sent the whole new history, or a gap.
        """
        question = self._questions.pop((room, user), Question())
        generation = question.generation
        if misled := self._histories.find_premature(room, epoch, generation):
            self.findings.add(BreachKind.RESUME, room, misled, _let_in_as_before(room, misled))
        words = self._wrong_epoch(room, user, epoch, question, head)
        words = words or self._wrong_cursor(room, user, epoch, generation, after, resumed)
        if words:
            self.findings.add(BreachKind.RESUME, room, user, words)
        start = head - recent if after is None else after if resumed else 0
        now = self._tick()
        truth = self._histories.answered(room, user, epoch, question, start, now)
        self._last_in[room, user] = epoch
        if start < truth.base - REACH_BACK_MAX:
            words = f"{user} was let into {room} at {start}, where {truth.base} was the newest before"
            self.findings.add(BreachKind.PHANTOM, room, user, words)
            start = truth.base - REACH_BACK_MAX
        truth.reach_back(start)
        hearing = self._census(room).enters(user, now, members)
        visit = Visit(truth, user, start, head, hearing, self.findings, self._tick)
        self.stays.append(visit)
        return visit

    def _wrong_epoch(self, room: str, user: str, epoch: str, question: Question, head: int) -> str:
        """Return what is wrong with the epoch of an answer, by what had happened by its generation."""
        histories, generation = self._histories, question.generation
        if histories.is_over(room, epoch, generation):
            return _let_in_as_before(room, user)
        known = histories.newest(room, generation) or epoch
        if (
            known == epoch
            or histories.is_over(room, known, generation)
            or histories.is_blank(room, known, generation)
            or (head == 0 and histories.is_overtaken(room, known, question))
        ):
            return ""
        return f"{room} began anew while {user} was away: what was said there before is gone"

    def _wrong_cursor(
        self, room: str, user: str, epoch: str, generation: int, after: int | None, resumed: bool
    ) -> str:
        """Return what is wrong with what became of a cursor, by what its user had seen."""
        mine = self._last_in.get((room, user), epoch)
        is_other = bool(after) and mine != epoch
        if resumed and is_other:
            return f"{user} came back to {room} with {after} as the last, and was resumed in another history"
        is_void = is_other and self._histories.is_over(room, mine, generation)
        if after is None or resumed or is_void:
            return ""
        return f"{user} came back to {room} with {after} as the last, and was not resumed"

    def _is_lost(self, saying: SentMessage, seq: int) -> bool:
        """Return whether a number belongs to the lost tail of the history that the author knows."""
        truth = self._truths.get((saying.room, self._last_in.get((saying.room, saying.author), "")))
        return truth is not None and truth.is_lost(seq)

    # --- on the way -----------------------------------------------------------------------------------

    @property
    def facts(self) -> int:
        """A number that grows with every fact."""
        return self._now + sum(visit.verified for visit in self.stays) - len(self._unanswered)

    @property
    def breaches(self) -> int:
        """The number of breaches known by now, disputes included."""
        return self.findings.total + sum(truth.disputed for truth in self._truths.values())

    def head(self, truth: Truth) -> int:
        """Return the largest number of a room that was shown or acknowledged: every visitor must reach it."""
        acked = [each.acked for each in self._sayings.values() if each.room == truth.room and not each.seen]
        # A number larger than all messages is wrong and is reported as such.
        return max([truth.head, *(seq for seq in acked if seq <= truth.limit)])

    def waits_for(self) -> str:
        """Return what is still missing, the first of it as a sentence; empty if nothing is."""
        if self._unanswered:
            saying = next(iter(self._unanswered.values()))
            return f"{len(self._unanswered)} acks, one of them for {saying.author}"
        heads = {id(truth): self.head(truth) for truth in self._truths.values()}
        past = self._histories.past()
        for visit in self.stays:
            if visit.is_over or visit.way:
                continue
            head = heads[id(visit.truth)]
            if visit.truth in past:
                return f"the end of the connection on which {visit.user} was let into {visit.room}"
            if visit.cursor < head:
                return f"{visit.room} {visit.cursor + 1} to {head} for {visit.user}"
            if untold := visit.hearing.untold():
                return f"presence: {untold[0]}"
        return ""

    # --- the verdict ----------------------------------------------------------------------------------

    def hold_to_account(self) -> None:
        """Require all users in the rooms to have everything now. Call it when they had time to receive it."""
        heads = {id(truth): self.head(truth) for truth in self._truths.values()}
        past = self._histories.past()
        for visit in self.stays:
            if not visit.is_over and not visit.way:
                visit.owes(heads[id(visit.truth)])
                if visit.truth in past:
                    words = f"{visit.user} is still in a history of {visit.room} that is over"
                    self.findings.add(BreachKind.RESUME, visit.room, visit.user, words)
        for visit in self.stays:
            visit.hearing.judge()
        for saying in self._unanswered.values():
            words = f"{saying.author} said something in {saying.room} and was neither acked nor refused"
            self.findings.add(BreachKind.ACK, saying.room, saying.author, words)

    def finish(self) -> Findings:
        """Return the findings. No fact may be added after this."""
        for truth in self._truths.values():
            stays = [visit for visit in self.stays if visit.truth is truth]
            truth.settle([visit.covers() for visit in stays], self.findings)
            truth.doubled(self.findings)
            truth.backwards(self.findings)
            # earlier histories have ended, which is reported already if it is a breach
            if self._histories.is_newest(truth):
                self._judge_acks(truth)
            holes = [seq for seq in range(truth.base + 1, truth.head + 1) if truth.at(seq) is None]
            unshown = {saying.acked for saying in self._unshown(truth)}
            never = [seq for seq in holes if seq not in unshown and any(s.must_have_seen(seq) for s in stays)]
            if never:
                words = f"no user was shown {truth.room} {numbers(never)}, although later entries were shown"
                self.findings.add(BreachKind.LOST, truth.room, "", words, len(never))
            unseen = frozenset(holes) | unshown
            for visit in stays:
                visit.judge(unseen)
        return self.findings

    def _judge_acks(self, truth: Truth) -> None:
        for saying in self._sayings.values():
            if saying.room == truth.room and saying.seen and saying.refused and not saying.again:
                words = f"{saying.author} was refused a message that was shown as {saying.room} {saying.seen}"
                self.findings.add(BreachKind.ACK, saying.room, saying.author, words)
            if saying.room == truth.room and saying.acked and saying.seen not in (0, saying.acked):
                words = (
                    f"{saying.author} was acked {saying.room} {saying.acked} for a message"
                    f" that was shown as {saying.room} {saying.seen}"
                )
                self.findings.add(BreachKind.ACK, saying.room, saying.author, words)
        for saying in self._unshown(truth):
            words = f"{saying.author} was acked {saying.room} {saying.acked}, which no user was shown"
            self.findings.add(BreachKind.UNSHOWN, saying.room, saying.author, words)

    def _unshown(self, truth: Truth) -> list[SentMessage]:
        return [
            saying
            for saying in self._sayings.values()
            if saying.room == truth.room and saying.acked and not saying.seen and self._is_owed(truth, saying)
        ]

    def _is_owed(self, truth: Truth, saying: SentMessage) -> bool:
        """Return whether a user had to be shown it; users that lost their connection or left before had
        not."""
        return saying.acked > truth.limit or any(
            visit.truth is truth and visit.must_have_seen(saying.acked) for visit in self.stays
        )

    def _census(self, room: str) -> PresenceTruth:
        census = self._censuses.get(room)
        if census is None:
            census = self._censuses[room] = PresenceTruth(room, self.findings)
        return census

    def _tick(self) -> int:
        self._now += 1
        return self._now


def _let_in_as_before(room: str, user: str) -> str:
    return f"{user} was let into {room} as if no entry were lost: numbers will be used twice"
