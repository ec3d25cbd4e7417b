"""`--seeds N` and `--seed K`: how many seeds a story is simulated with, or which one.

    @pytest.mark.seeds(20)
    def test_nothing_is_lost(seed: int) -> None:
        simulate(seed, scenario)

A test that takes `seed` runs once for each: for 0, 1, 2 … as often as its mark says, which is how many the
usual run can afford; `nox -s sim` looks further.
"""

import os
import signal

import pytest
from hypothesis import settings

SEEDS = 20


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("simulation")
    group.addoption("--seeds", type=int, metavar="N", help="simulate each story with the seeds 0 to N - 1")
    group.addoption("--seed", type=int, metavar="K", help="simulate each story with this seed alone")


def pytest_configure(config: pytest.Config) -> None:
    # No test asserts how long something takes: a busy machine would decide.
    settings.register_profile("ours", deadline=None)
    settings.load_profile("ours")
    # A server that a test starts without a journal option must not use the journal of the user.
    os.environ["TRIO_CHAT_JOURNAL"] = "memory"
    os.environ["TRIO_CHAT_TOKENS"] = "none"  # nor a client who they are
    # A run that is started in the background, or with nohup, inherits ignored signals: no test would see one.
    for number, handler in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGTERM, signal.SIG_DFL),
        (signal.SIGHUP, signal.SIG_DFL),
    ):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)
    config.addinivalue_line("markers", f"seeds(number): how many seeds a story takes, if not {SEEDS}")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    own = [mark for mark in metafunc.definition.iter_markers("parametrize") if mark.args[0] == "seed"]
    if "seed" in metafunc.fixturenames and not own:
        metafunc.parametrize("seed", _seeds(metafunc), ids=lambda seed: f"seed {seed}")


def _seeds(metafunc: pytest.Metafunc) -> range:
    config = metafunc.config
    seed, count = config.getoption("--seed"), config.getoption("--seeds")
    if seed is not None:
        return range(seed, seed + 1)
    if count is not None:
        return range(count)
    mark = metafunc.definition.get_closest_marker("seeds")
    return range(mark.args[0] if mark else SEEDS)
