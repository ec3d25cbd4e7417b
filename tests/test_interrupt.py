"""Ctrl-C while a command is still importing: one line and an exit status, wherever it comes."""

import signal
import subprocess
import sys

import pytest

from tests.patience import PATIENCE_S

# Ctrl-C arrives as a module is looked for. The first entry of the path of finders is asked first.
_INTERRUPTED_AT = """
import os, signal, sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, {handler})
sys.meta_path.insert(0, Interrupting())
sys.argv = ["trio-chat", *{args!r}]
{start}
"""
CONSOLE_SCRIPT = "from trio_chat.__main__ import main; main()"
OLDER_SCRIPT = "from trio_chat.cli import main; main()"
COMMANDS = {
    "serve": ["serve", "--port=0", "--journal=memory"],
    "join": ["join", "ada@127.0.0.1:1"],
    "info": ["journal", "info"],
    "backup": ["journal", "backup", "-"],
    "loadtest": ["loadtest", "127.0.0.1:1"],
}


def interrupted(
    module: str, args: list[str], *, start: str = CONSOLE_SCRIPT, handler: str = "signal.default_int_handler"
) -> tuple[int, str, str]:
    code = _INTERRUPTED_AT.format(module=module, args=args, start=start, handler=handler)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("start", [CONSOLE_SCRIPT, OLDER_SCRIPT])
@pytest.mark.parametrize(
    ("module", "command"),
    [
        *((module, command) for module in ("click", "trio_chat.cli.group") for command in COMMANDS),
        *((module, command) for module in ("trio", "msgspec") for command in ("serve", "join", "loadtest")),
        ("msgspec", "info"),
        ("sqlite3", "backup"),
        ("h11", "serve"),
        ("rich", "loadtest"),
        ("trio_chat.errors", "info"),
    ],
)
def test_an_import_is_interrupted_in_one_line(module: str, command: str, start: str) -> None:
    assert interrupted(module, COMMANDS[command], start=start) == (130, "", "trio-chat: interrupted\n")


def test_an_ignored_interrupt_stays_ignored() -> None:
    status, out, _ = interrupted("click", ["--version"], handler="signal.SIG_IGN")
    assert (status, out[:9]) == (0, "trio-chat")


def test_a_command_at_work_has_the_interrupt_as_an_exception() -> None:
    """`journal` says in its own words that nothing was changed."""
    start = f"os.environ.pop('TRIO_CHAT_JOURNAL')\n{CONSOLE_SCRIPT}"
    status, out, err = interrupted("trio_chat.server.process", ["journal", "info"], start=start)
    assert (status, out, err) == (130, "", "\ntrio-chat: interrupted, and nothing was changed\n")


def test_a_command_without_words_of_its_own_ends_with_130() -> None:
    """The work of `join` interrupts itself as it begins."""
    start = f"""
import trio_chat.terminal.line_client
async def run(*args, **options):
    raise KeyboardInterrupt
trio_chat.terminal.line_client.run = run
{CONSOLE_SCRIPT}
"""
    assert interrupted("", ["join"], start=start) == (130, "", "trio-chat: interrupted\n")


def test_the_handler_of_a_program_around_is_left_alone() -> None:
    start = f"""
signal.signal(signal.SIGINT, lambda *_: print("mine", flush=True))
{CONSOLE_SCRIPT}
"""
    status, out, _ = interrupted("click", ["--version"], start=start)
    assert (status, out.startswith("mine\ntrio-chat")) == (0, True)


def test_in_process_the_handler_is_back_when_the_command_ends() -> None:
    start = """
from trio_chat.cli import main
try:
    main(["--version"])
except SystemExit:
    pass
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
"""
    before = signal.getsignal(signal.SIGINT)
    assert interrupted("", [], start=start)[0] == 0
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_changes_nothing_after_the_verdict(number: int) -> None:
    start = f"""
from trio_chat.cli.interrupt import exit_on_interrupt, keep_verdict
exit_on_interrupt()
verdict = keep_verdict()
os.kill(os.getpid(), {int(number)})
verdict.ignore_signals()
os.kill(os.getpid(), {int(number)})
os.kill(os.getpid(), {int(number)})
sys.exit(7)
"""
    assert interrupted("", [], start=start) == (7, "", "")


@pytest.mark.parametrize(
    ("number", "status", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_a_second_signal_ends_a_verdict_that_cannot_be_written(number: int, status: int, word: str) -> None:
    start = f"""
from trio_chat.cli.interrupt import exit_on_interrupt, keep_verdict
exit_on_interrupt()
verdict = keep_verdict()
os.kill(os.getpid(), {int(number)})
print("goes on", flush=True)
os.kill(os.getpid(), {int(number)})
print("does not end", flush=True)
"""
    assert interrupted("", [], start=start) == (status, "goes on\n", f"trio-chat: {word}\n")


def test_the_handlers_are_back_after_a_verdict_in_process() -> None:
    start = """
from trio_chat.cli.interrupt import exit_on_interrupt, keep_verdict, raise_on_interrupt
exit_on_interrupt()
verdict = keep_verdict()
assert raise_on_interrupt()
assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
exit_on_interrupt()
verdict = keep_verdict()
verdict.ignore_signals()
assert signal.getsignal(signal.SIGINT) is signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
assert raise_on_interrupt()
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
assert not raise_on_interrupt()
"""
    assert interrupted("", [], start=start) == (0, "", "")


def test_ignored_signals_stay_ignored_through_a_verdict() -> None:
    start = """
from trio_chat.cli.interrupt import exit_on_interrupt, keep_verdict, raise_on_interrupt
signal.signal(signal.SIGTERM, signal.SIG_IGN)
exit_on_interrupt()
keep_verdict().ignore_signals()
raise_on_interrupt()
assert signal.getsignal(signal.SIGINT) is signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
"""
    assert interrupted("", [], start=start, handler="signal.SIG_IGN") == (0, "", "")
