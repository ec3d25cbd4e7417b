"""The token file."""

import os
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from trio_chat.terminal import tokens as module
from trio_chat.terminal.tokens import TokenFile, default_path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "trio-chat" / "tokens.json"


@pytest.fixture
def open_mask() -> Iterator[None]:
    """Run with a umask that lets other users read new files."""
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_one_token_is_created_for_each_server_and_name(path: Path) -> None:
    first = TokenFile(path).find("127.0.0.1:5555", "ada")
    assert 22 <= len(first) <= 64
    others = {TokenFile(path).find(*who) for who in [("127.0.0.1:5556", "ada"), ("127.0.0.1:5555", "bob")]}
    assert len(others | {first}) == 3
    assert TokenFile(path).find("127.0.0.1:5555", "ada") == first
    assert TokenFile(path).find("127.0.0.1:5555", "Ada") == first, "a server treats both names as equal"
    assert TokenFile(path).find("Example.org:5555", "ada") == TokenFile(path).find("example.org:5555", "ada")


def test_only_its_owner_can_read_it(path: Path, open_mask: None) -> None:
    TokenFile(path).find("127.0.0.1:5555", "ada")
    assert mode(path.parent) == 0o700
    assert {each.name: mode(each) for each in path.parent.iterdir()} == {
        "tokens.json": 0o600,
        "tokens.json-lock": 0o600,
    }


def test_concurrent_callers_get_the_same_token(path: Path) -> None:
    """Each caller has its own `TokenFile`, as processes have; tokens created meanwhile are not lost."""
    found: list[tuple[str, str]] = []
    together = threading.Barrier(8)

    def ask(n: int) -> None:
        together.wait()
        names = ("ada", f"other{n}", "bob")
        found.extend((name, TokenFile(path).find("127.0.0.1:5555", name)) for name in names)

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 2 + 8
    assert {(name, TokenFile(path).find("127.0.0.1:5555", name)) for name, _ in found} == set(found)


def test_the_newest_tokens_are_kept(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TOKENS_MAX", 3)
    first, *others = [TokenFile(path).find("127.0.0.1:5555", name) for name in "abcd"]
    kept = path.read_text()
    assert first not in kept
    assert all(token in kept for token in others)


def test_no_token_is_stored_for_an_invalid_name(path: Path) -> None:
    assert TokenFile(path).find("127.0.0.1:5555", "a" * 33) == ""
    assert not path.parent.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b'{"version": 2, "tokens": []}',
        b'{"version": 1, "tokens": [{"server": "a:1", "name": "ada", "token": "short"}]}',
    ],
)
def test_a_damaged_file_is_reported_and_left_unchanged(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(OSError, match=r"tokens\.json is damaged, or of another version: ") as caught:
        TokenFile(path).find("127.0.0.1:5555", "ada")
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == content


def test_existing_tokens_are_found_in_a_read_only_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = TokenFile(path).find("127.0.0.1:5555", "ada")

    def denied(*args: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "open", denied)  # root may write anywhere, whatever the mode
    assert TokenFile(path).find("127.0.0.1:5555", "ada") == token
    with pytest.raises(PermissionError):
        TokenFile(path).find("127.0.0.1:5555", "bob")


def test_a_partly_written_file_is_never_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = TokenFile(path).find("127.0.0.1:5555", "ada")
    monkeypatch.setattr(os, "fsync", _fail)
    with pytest.raises(OSError, match="No space left"):
        TokenFile(path).find("127.0.0.1:5555", "bob")
    monkeypatch.undo()
    assert TokenFile(path).find("127.0.0.1:5555", "ada") == token
    assert TokenFile(path).find("127.0.0.1:5555", "bob"), "the leftovers of a failure do no harm"


def _fail(fd: int) -> None:
    raise OSError(28, "No space left on device")


def test_the_default_file_belongs_to_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_path().name == "tokens.json"
    assert default_path().parent.name == "trio-chat"
    assert not any(tmp_path.iterdir()), "asking for the path creates nothing"


def _no_home(*_: object, **__: object) -> Path:
    raise RuntimeError("could not determine the home directory")


@pytest.mark.parametrize("found", [_no_home, lambda *_, **__: Path("~/.local/state/trio-chat")])
def test_without_a_home_directory_nothing_is_kept_in_the_working_directory(
    found: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For a user id without passwd entry and HOME, platformdirs raises or returns the `~` itself."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "user_state_path", found)
    with pytest.raises(OSError, match=r"^HOME is not set; --tokens PATH names a file$"):
        TokenFile(default_path()).find("127.0.0.1:5555", "ada")
    assert not list(tmp_path.iterdir())
