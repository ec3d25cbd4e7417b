"""Scenarios: valid values, and the plan that the seed determines."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.scenario import DISCONNECT_WAYS, CannotRun, Scenario


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"users": 0}, "invalid users or rooms: got 0 and 1, expected at least 1 of each"),
        ({"rooms": 0}, "invalid users or rooms: got 200 and 0, expected"),
        ({"users": 3, "rooms": 4}, "invalid rooms: got 4, expected at most 3, the number of users"),
        ({"rate": 0.0}, "expected more than 0"),
        ({"duration_s": -1.0}, "expected more than 0"),
        ({"rate": float("nan")}, "expected finite numbers"),
        ({"rate": float("inf")}, "expected finite numbers"),
        ({"duration_s": float("nan")}, "expected finite numbers"),
        ({"duration_s": float("inf")}, "expected finite numbers"),
        ({"rate": 1e9}, "expected at most 1,000,000,000 messages in a run"),
        ({"rate": 1e300, "duration_s": 1e300}, "expected at most 1,000,000,000 messages in a run"),
        ({"size": 15}, "16 to 4096 bytes"),
        ({"size": 4_097}, "16 to 4096 bytes"),
        ({"disconnects": 1.5}, "invalid disconnects: got 150%, expected 0% to 100%"),
    ],
)
def test_invalid_scenarios_are_refused(fields: dict[str, Any], says: str) -> None:
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
def test_each_user_disconnects_at_most_once_in_the_first_80_percent(scenario: Scenario) -> None:
    trips = scenario.trips()
    assert len(trips) == round(scenario.users * scenario.disconnects)
    assert len({trip.user for trip in trips}) == len(trips)
    assert all(0 < trip.at_s < 0.8 * scenario.duration_s for trip in trips)
    assert [trip.way for trip in trips[:4]] == list(DISCONNECT_WAYS)[: len(trips)]


@given(SCENARIOS)
def test_the_same_seed_is_the_same_plan(scenario: Scenario) -> None:
    again = Scenario(
        users=scenario.users,
        duration_s=scenario.duration_s,
        disconnects=scenario.disconnects,
        seed=scenario.seed,
    )
    assert again.trips() == scenario.trips()
    assert again.senders() == scenario.senders()


def test_another_seed_is_another_plan() -> None:
    assert Scenario(seed=1).senders() != Scenario(seed=2).senders()
    assert Scenario(seed=1).trips() != Scenario(seed=2).trips()


@given(st.integers(0, 10**9), st.integers(16, 4096))
def test_a_text_has_the_requested_size_and_its_number(number: int, size: int) -> None:
    text = Scenario(size=size).text(number)
    assert len(text.encode()) == size
    assert text.split()[0] == str(number)
