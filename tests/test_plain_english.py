"""Sources, documents and messages are written in plain English: the subject first, and named.

Three patterns are searched for, as each of them hides the subject of a sentence. They are found in prose, in
messages, and in names of functions and tests. An exception needs its reason in `EXCEPTIONS`.
"""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SUFFIXES = {".py", ".js", ".css", ".html", ".md", ".toml", ".service", ""}

# A word also counts as a part of a name: `test_nobody_waits`.
PRONOUN = re.compile(r"(?<![A-Za-z])(whoever|nobody|somebody)(?![A-Za-z])", re.IGNORECASE)
SENTENCE = re.compile(
    r"(?:^|(?<=[.!?:;]\s)|(?<=[\"'`#*|>-]\s)|(?<=[\"'`#*|]))Who (?=[a-z])([^.?!\n]*[.?!]?)", re.MULTILINE
)
ONE = re.compile(
    r"(?<![A-Za-z-])one[ _](?:is|has|was|can|may|must|sees|says|comes|goes|does)(?![A-Za-z])", re.IGNORECASE
)

# Where a pattern may stand: the file, the text, the reason.
EXCEPTIONS: dict[tuple[str, str], str] = {
    ("tests/test_plain_english.py", ""): "this file names what it searches for",
    ("docs/names.md", ""): "the table of old names is for readers of older documents",
}

# Not rewritten yet: to become shorter, never longer.
UNDONE = ("tests/browser/",)


def faults(text: str) -> Iterator[tuple[int, str]]:
    """Yield the line number and the words of each pattern in a text."""
    for pattern in (PRONOUN, SENTENCE, ONE):
        for match in pattern.finditer(text):
            if pattern is SENTENCE and match[0].endswith("?"):
                continue
            yield text.count("\n", 0, match.start()) + 1, match[0].strip()


def is_excepted(path: str, line: str) -> bool:
    return any(path == where and words in line for where, words in EXCEPTIONS)


def texts() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    names = [Path(name) for name in listed.stdout.decode().split("\0") if name]
    return sorted(path for path in names if path.suffix in SUFFIXES and (ROOT / path).is_file())


def test_no_sentence_hides_its_subject() -> None:
    found = []
    for path in texts():
        text = (ROOT / path).read_text(encoding="utf-8")
        lines = text.splitlines()
        found += [
            f"{path}:{number}: {words!r}"
            for number, words in faults(text)
            if not path.as_posix().startswith(UNDONE) and not is_excepted(path.as_posix(), lines[number - 1])
        ]
    assert not found, "\n".join(["name the subject of these sentences:", *found])


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Whoever reads this", 1),
        ("def test_nobody_waits() -> None:", 1),
        ("# somebody else's", 1),
        ("the reader waits", 0),
        ('"""Who does not read is behind."""', 1),
        ("It ends. Who joins again is the same.", 1),
        ("# Who is here?", 0),
        ("members who joined meanwhile", 0),
        ("class Who(_Command):", 0),
        ("the room that one is in", 1),
        ("def test_one_has_a_name() -> None:", 1),
        ("this one was read", 1),
        ("at least one message is", 0),
        ("someone", 0),
    ],
)
def test_what_is_found(text: str, count: int) -> None:
    assert len(list(faults(text))) == count


def test_every_exception_is_needed() -> None:
    for path, words in EXCEPTIONS:
        lines = (ROOT / path).read_text(encoding="utf-8").splitlines() if (ROOT / path).exists() else []
        text = "\n".join(line for line in lines if words in line)
        assert words in text and (list(faults(text)) or not words), f"{path} has no {words!r}: drop it"


@pytest.mark.parametrize("place", UNDONE)
def test_what_is_called_undone_is_not_done_yet(place: str) -> None:
    found = (
        next(faults((ROOT / path).read_text(encoding="utf-8")), None)
        for path in texts()
        if path.as_posix().startswith(place)
    )
    assert any(found), f"{place} is done: take it out of UNDONE"
