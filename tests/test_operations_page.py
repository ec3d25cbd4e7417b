"""docs/operations.md: the unit file agrees with the exit statuses of the server."""

import re
from configparser import RawConfigParser
from pathlib import Path
from textwrap import dedent

from trio_chat.errors import CannotStart, JournalUnavailable

PAGE = Path(__file__).parent.parent / "docs" / "operations.md"


def unit_file() -> str:
    found = re.search(r"^    \[Unit\]\n(?:    .*\n|\n)+", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert found is not None
    return dedent(found[0])


def test_the_unit_is_restarted_on_a_full_disk_however_often_and_not_for_a_mistake() -> None:
    unit = RawConfigParser(strict=False, allow_no_value=True)
    unit.optionxform = str  # type: ignore[assignment,method-assign] # the documented way to keep the case
    unit.read_string(unit_file())
    service = unit["Service"]
    assert service["Restart"] == "on-failure"
    prevented = service["RestartPreventExitStatus"].split()
    assert str(CannotStart.exit_status) in prevented
    assert str(JournalUnavailable.exit_status) not in prevented
    assert "SuccessExitStatus" not in service
    assert unit["Unit"]["StartLimitIntervalSec"] == "0"
    assert int(service["RestartSec"]) > 0
