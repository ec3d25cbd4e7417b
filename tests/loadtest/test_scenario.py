"""What is asked for, and the plan that follows from it: the same for the same seed."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.scenario import WAYS, CannotRun, Scenario


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"users": 0}, "there must be a user"),
        ({"rooms": 0}, "there must be a user and a room"),
        ({"users": 3, "rooms": 4}, "4 rooms are too many for 3 users"),
        ({"rate": 0.0}, "above zero"),
        ({"duration_s": -1.0}, "above zero"),
        ({"rate": float("nan")}, "must be numbers"),
        ({"rate": float("inf")}, "must be numbers"),
        ({"duration_s": float("nan")}, "must be numbers"),
        ({"duration_s": float("inf")}, "must be numbers"),
        ({"rate": 1e9}, "more than 1,000,000,000 messages are too many"),
        ({"rate": 1e300, "duration_s": 1e300}, "more than 1,000,000,000 messages are too many"),
        ({"size": 15}, "16 to 4096 bytes"),
        ({"size": 4_097}, "16 to 4096 bytes"),
        ({"disconnects": 1.5}, "between 0 % and 100 %"),
    ],
)
def test_what_makes_no_sense_is_refused(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(CannotRun, match=says):
        Scenario(**fields)


SCENARIOS = st.builds(
    Scenario,
    users=st.integers(10, 300),
    duration_s=st.floats(0.5, 100),
    disconnects=st.floats(0, 1),
    seed=st.integers(0, 1_000),
)


@given(SCENARIOS)
def test_everybody_goes_at_most_once_in_the_first_four_fifths(scenario: Scenario) -> None:
    trips = scenario.trips()
    assert len(trips) == round(scenario.users * scenario.disconnects)
    assert len({trip.user for trip in trips}) == len(trips)
    assert all(0 < trip.at_s < 0.8 * scenario.duration_s for trip in trips)
    assert [trip.way for trip in trips[:4]] == list(WAYS)[: len(trips)]


@given(SCENARIOS)
def test_the_same_seed_is_the_same_plan(scenario: Scenario) -> None:
    again = Scenario(
        users=scenario.users,
        duration_s=scenario.duration_s,
        disconnects=scenario.disconnects,
        seed=scenario.seed,
    )
    assert again.trips() == scenario.trips()
    assert again.speakers() == scenario.speakers()


def test_another_seed_is_another_plan() -> None:
    assert Scenario(seed=1).speakers() != Scenario(seed=2).speakers()
    assert Scenario(seed=1).trips() != Scenario(seed=2).trips()


@given(st.integers(0, 10**9), st.integers(16, 4096))
def test_a_text_has_its_size_and_its_number(number: int, size: int) -> None:
    text = Scenario(size=size).text(number)
    assert len(text.encode()) == size
    assert text.split()[0] == str(number)
