"""The story of too much to say finds clients, and servers, that give up a message or reorder two."""

import pytest

from tests.mutants.mutant import Edit, Mutant, planted
from tests.sim.stories import STORIES

MUTANTS = {
    "gives up": Mutant(
        "gives-up",
        "a message that is refused is not sent again",
        (
            Edit(
                "trio_chat.client.backlog:Backlog.put_off",
                "if request is None or request.then is not None:",
                "if True:",
            ),
        ),
    ),
    "overtakes": Mutant(
        "overtakes",
        "a message goes out although one before it waits for the pacer",
        (
            Edit("trio_chat.client.sender:Sender._is_held", "held.kinds.add(kind)", "pass"),
            Edit("trio_chat.client.sender:Sender._is_held", "held.rooms.add(name)", "pass"),
        ),
    ),
    "jumps the queue": Mutant(
        "jumps-the-queue",
        "a message goes out at once although others wait",
        (Edit("trio_chat.client.backlog:Backlog.admits", "if self.exists:", "if False:"),),
    ),
    "takes what is behind": Mutant(
        "takes-what-is-behind",
        "the server takes what was sent behind a message that it refused",
        (
            Edit(
                "trio_chat.hub.hub:Hub.check_rate",
                "if kind == _ORDERED and now < attachment.refused_until:",
                "if False:",
            ),
        ),
    ),
}
MUTANTS["sends too much behind"] = Mutant(
    "sends-too-much-behind",
    "a message goes out behind unanswered ones though the rate is nearly used up",
    (
        Edit(
            "trio_chat.client.pacer:TokenBucket.wait_s",
            "if self._unanswered and self._left - amount < self._burst / 2:",
            "if False:",
        ),
    ),
)
SEEDS = {
    "gives up": 0,
    "overtakes": 1,
    "jumps the queue": 1,
    "takes what is behind": 17,
    "sends too much behind": 11,
}


@pytest.mark.parametrize("name", list(MUTANTS))
def test_a_mistake_is_found_by_its_seed(name: str) -> None:
    STORIES["rates"](SEEDS[name])
    with planted(MUTANTS[name]), pytest.raises((AssertionError, ExceptionGroup)):
        STORIES["rates"](SEEDS[name])
