"""The delivery contract as a judge: was everything delivered that was promised, and nothing else?

Pure. The judge is fed with facts as plain values, in the order in which they happened. At the end it says
which promises of docs/protocol.md were broken, to which user, in sentences that a developer can act on.

    judge      the messages, acknowledgements, arrivals and departures; the verdict at the end
    stay       a user's visit to a room, from the answer to `join` to its departure: every entry once, in
               order
    truth      the entry at each number of a room: as first shown, as acknowledged, or as most users saw it
    presence   the notices of arrivals and departures that each visit received, compared with the real ones
    breaches   the findings

The judge has to be fast: a load tool judges hundreds of thousands of deliveries a second while it receives
them. A batch is compared, as a list, with the entries that the first user to see these numbers was shown.
Only the first user's entries are looked up; differences are examined at the end.
"""

from trio_chat.contract.breaches import Breach, BreachKind, Findings
from trio_chat.contract.judge import Judge
from trio_chat.contract.presence import LARGE
from trio_chat.contract.stay import Visit
from trio_chat.contract.truth import Entry

__all__ = ["LARGE", "Breach", "BreachKind", "Entry", "Findings", "Judge", "Visit"]
