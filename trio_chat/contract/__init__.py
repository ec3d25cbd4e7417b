"""The delivery contract, as a judge: was everything delivered that was promised, and only that?

Pure. It is fed with what happened, in the order in which it happened, as plain values, and says at the
end which promises of docs/protocol.md were broken, to whom, in words that a person can act on.

    judge      what was said and acked; who came and went; the verdict at the end
    stay       one user's time in a room, from the answer to `join` until it goes: every entry once, in order
    truth      what is at each number of a room, as first seen, as acked, or as most have seen it
    presence   what each stay was told of comings and goings, held against those that were
    breaches   what was found

Its cost is part of what it is for: a load tool judges hundreds of thousands of deliveries a second
beside receiving them. A batch is held, as a list, against the list of what the first to see those numbers
was shown; only that first one is looked up, and what differs is looked into at the end.
"""

from trio_chat.contract.breaches import Breach, BreachKind, Findings
from trio_chat.contract.judge import Judge
from trio_chat.contract.presence import LARGE
from trio_chat.contract.stay import Visit
from trio_chat.contract.truth import Entry

__all__ = ["LARGE", "Breach", "BreachKind", "Entry", "Findings", "Judge", "Visit"]
