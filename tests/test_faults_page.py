"""docs/faults.md names tests that exist, and at least one for each row."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
TABLE, LISTS = PAGE.split("\n## The tests of each row\n")
ROWS = [int(number) for number in re.findall(r"^\| (\d+) \|", TABLE, re.MULTILINE)]
TESTS = {int(number): text for number, text in re.findall(r"^(\d+)\. (.*(?:\n   .*)*)", LISTS, re.MULTILINE)}


def test_the_rows_are_numbered() -> None:
    assert list(range(1, len(ROWS) + 1)) == ROWS == sorted(TESTS)


@pytest.mark.parametrize("row", ROWS)
def test_the_tests_of_a_row_exist(row: int) -> None:
    files = re.findall(r"^   - `(tests/[\w/]+\.py)`: (.*)$", TESTS[row], re.MULTILINE)
    assert files, "the row names no test"
    for path, names in files:
        source = (ROOT / path).read_text(encoding="utf-8")
        for name in re.findall(r"`(\w+)`", names):
            assert re.search(rf"^(?:async )?def {name}\(", source, re.MULTILINE), f"{path} has no {name}"
