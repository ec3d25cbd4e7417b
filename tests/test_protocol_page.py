"""Hold docs/protocol.md to the code: its tables, its dialogues, its codes and its limits.

test_protocol_dialogues.py plays the dialogues and the table of rates against a real server.
"""

import json
import re
from pathlib import Path

import msgspec
import pytest

from tests.wire.drawn import COMMANDS, EVENTS, tag
from trio_chat.dialects.websocket import WebSocketCommands
from trio_chat.errors import BadMessage
from trio_chat.server.config import Limits
from trio_chat.server.disconnect import disconnect_for
from trio_chat.wire.codec import decode_command, decode_event, encode
from trio_chat.wire.framing import FrameReader
from trio_chat.wire.messages import Error

PAGE = (Path(__file__).parents[1] / "docs" / "protocol.md").read_text(encoding="utf-8")


def part(title: str) -> str:
    """What stands under a heading of the second level."""
    _, _, rest = PAGE.partition(f"\n## {title}\n")
    assert rest, f"docs/protocol.md has no part called {title}"
    return rest.partition("\n## ")[0]


def described(title: str) -> dict[str, dict[str, bool]]:
    """The messages of a part of the page: their fields, and whether each is optional."""
    found: dict[str, dict[str, bool]] = {}
    for section in re.split(r"\n####? ", part(title))[1:]:
        if heading := re.match(r"`(\w+)`\n", section):
            rows = re.findall(r"^\| `(\w+)`(\??) \|", section, re.MULTILINE)
            found[heading[1]] = {name: bool(optional) for name, optional in rows}
    return found


def defined(message: type[msgspec.Struct]) -> dict[str, bool]:
    """The fields of a message as they are, but for the `ref` that any command and its answer may carry."""
    fields = {field.encode_name: not field.required for field in msgspec.structs.fields(message)}
    if fields.get("ref"):
        del fields["ref"]
    return fields


@pytest.mark.parametrize("command", COMMANDS, ids=tag)
def test_every_command_is_described_as_it_is(command: type[msgspec.Struct]) -> None:
    assert described("Commands")[tag(command)] == defined(command)


@pytest.mark.parametrize("event", EVENTS, ids=tag)
def test_every_event_is_described_as_it_is(event: type[msgspec.Struct]) -> None:
    assert described("Events")[tag(event)] == defined(event)


def test_nothing_is_described_that_is_not_there() -> None:
    assert set(described("Commands")) == {tag(command) for command in COMMANDS}
    assert set(described("Events")) == {tag(event) for event in EVENTS}


def test_dialogues_are_written_as_the_codec_writes_them() -> None:
    """Each line is a message as it goes over the wire; the mistake in it is answered as shown."""
    lines = re.findall(r"^(?:bob )?([→←]) (.*)$", part("Example sessions"), re.MULTILINE)
    assert len(lines) > 30
    mistakes = []
    for (direction, payload), (_, answer) in zip(lines, [*lines[1:], ("", "")], strict=True):
        try:
            message = decode_command(payload.encode()) if direction == "→" else decode_event(payload.encode())
        except BadMessage as error:
            mistakes.append(payload)
            assert encode(Error(error.code, error.detail, error.field, ref=error.ref)).decode() == answer
        else:
            assert encode(message).decode() == payload
    assert len(mistakes) == 1


def test_the_frame_is_one() -> None:
    hexed = re.search(r"^    ((?:[0-9a-f]{2} +)+[0-9a-f]{2})$", part("Frames"), re.MULTILINE)
    assert hexed
    (payload,) = FrameReader().feed(bytes.fromhex(hexed[1]))
    assert f"length: {len(payload)}    {payload.decode()}" in part("Frames")


def test_goodbyes_say_whether_to_come_back() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (true|false) \|", part("Error codes and bye codes"), re.MULTILINE)
    assert len(rows) == 16
    for code, reconnect in rows:
        said = disconnect_for(code, "").bye
        assert said is not None
        assert json.loads(said)["reconnect"] is (reconnect == "true"), code


def test_limits_are_what_they_are() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([\d,]+) \|", part("Limits and rates"), re.MULTILINE)
    assert len(rows) > 20
    limits = Limits()
    for name, value in rows:
        assert getattr(limits, name) == int(value.replace(",", "")), name


def test_links_within_the_page_lead_somewhere() -> None:
    headings = {heading.lower().replace(" ", "-") for heading in re.findall(r"^#+ (.*)$", PAGE, re.MULTILINE)}
    targets = set(re.findall(r"\]\(#([^)]*)\)", PAGE))
    assert targets
    assert targets <= headings


def test_each_goodbye_has_the_close_code_that_the_page_says() -> None:
    rows = re.findall(r"^\| (\d{4}) \| (.*) \| (yes|no) \|$", part("WebSocket"), re.MULTILINE)
    told = {
        code: (int(number), back == "yes")
        for number, codes, back in rows
        for code in re.findall(r"`(\w+)`", codes)
    }
    goodbyes = re.findall(r"^\| `(\w+)` \| (true|false) \|", part("Error codes and bye codes"), re.MULTILINE)
    assert told.keys() == {code for code, _ in goodbyes}
    for code, reconnect in goodbyes:
        number, back = told[code]
        assert back == (reconnect == "true")
        close_frame = WebSocketCommands().close_frame(code)
        if code != "bad_frame":  # it has three
            assert close_frame is not None and int.from_bytes(close_frame[2:4]) == number


def test_overview_has_every_command_and_known_codes() -> None:
    rows = re.findall(r"^\| `(\w+)` \| .* \| .* \| (.*) \| .* \|$", part("Commands"), re.MULTILINE)
    assert [name for name, _ in rows] == list(described("Commands"))
    codes = part("Error codes and bye codes")
    errors = set(re.findall(r"^\| `(\w+)` \| (?!true|false|when|`)", codes, re.MULTILINE))
    named = {code for _, cell in rows for code in re.findall(r"`(\w+_\w+|unavailable)`", cell)}
    assert len(named) > 8
    assert named <= errors


def test_every_refusal_of_the_server_has_a_code_on_the_page() -> None:
    """The page lists exactly the codes that the sources raise, and the one that is reserved."""
    codes = part("Error codes and bye codes")
    listed = set(re.findall(r"^\| `(\w+)` \| (?!true|false|when|`)", codes, re.MULTILINE))
    sources = "".join(
        path.read_text(encoding="utf-8")
        for package in ("hub", "server")
        for path in (Path(__file__).parents[1] / "trio_chat" / package).rglob("*.py")
    )
    raised = set(re.findall(r"""Refused\(\s*"(\w+)\"""", sources))
    raised |= set(re.findall(r"""_prepare\(raw, "(\w+)\"""", sources))
    assert len(raised) > 8
    assert raised | {"forbidden"} == listed
