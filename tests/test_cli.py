"""The command line: options, exit statuses, and errors in one line."""

import re
import socket
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from trio_chat.cli import main
from trio_chat.cli.standard_output import refuse_standard
from trio_chat.server.config import Config
from trio_chat.version import __version__


def run(*args: str, env: dict[str, str] | None = None) -> tuple[int, str, str]:
    """Run a command; return its exit status, standard output and standard error."""
    result = CliRunner().invoke(main, list(args), env=env, prog_name="trio-chat")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result.exit_code, result.stdout, result.stderr


def test_help_names_every_command() -> None:
    status, out, _ = run("--help")
    assert status == 0
    assert all(re.search(rf"^  {command} ", out, re.MULTILINE) for command in ("serve", "join", "loadtest"))


def test_version_prints_the_version_of_the_package() -> None:
    assert run("--version") == (0, f"trio-chat {__version__}\n", "")


def test_a_port_in_use_is_one_line_and_exit_2() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, out, err = run("serve", "--port", str(port), "--journal", "memory")
    assert (status, out) == (2, "")
    assert err == f"trio-chat: cannot listen on 127.0.0.1:{port}: Address already in use\n"


def test_an_invalid_journal_file_is_one_line_and_exit_2(tmp_path: Path) -> None:
    path = tmp_path / "diary.txt"
    path.write_text("Dear diary, " * 100)
    status, out, err = run("serve", "--port", "0", "--journal", str(path))
    assert (status, out) == (2, "")
    assert err == f"trio-chat: cannot use {path}: it is not a trio-chat journal\n"


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--limit", "romos=3"), "unknown limit 'romos'; did you mean rooms?"),
        (("--limit", "rooms=many"), "invalid limit rooms: got 'many', expected a whole number"),
        (("--limit", "rooms=0"), "invalid limit rooms: got 0, expected at least 1"),
        (
            ("--limit", "frame_bytes=100"),
            "invalid limit frame_bytes: expected at least twice text_bytes plus 1024",
        ),
    ],
)
def test_an_invalid_limit_is_one_line_and_exit_2(args: tuple[str, ...], says: str) -> None:
    assert run("serve", *args) == (2, "", f"trio-chat: {says}\n")


@pytest.mark.parametrize("proxy", ["nonsense", "10.0.0.1/8", "127.0.0.1:80", ""])
def test_an_invalid_proxy_is_one_line_and_exit_2(proxy: str) -> None:
    expected = "expected an address or a network, as 127.0.0.1 or 10.0.0.0/8"
    proxies = ("--proxy", "127.0.0.1", "--proxy", proxy)
    status, out, err = run("serve", "--journal", "memory", *proxies)
    assert (status, out, err) == (2, "", f"trio-chat: invalid proxy: got {proxy!r}, {expected}\n")


@pytest.mark.parametrize(
    "args",
    [("--port", "70000"), ("--port", "x"), ("--durability", "iron"), ("--max-connections", "0"), ("--nope",)],
)
def test_an_invalid_option_is_exit_2_without_a_traceback(args: tuple[str, ...]) -> None:
    status, out, err = run("serve", *args)
    assert (status, out) == (2, "")
    assert "Error: " in err and "Traceback" not in err


def test_options_are_read_from_the_environment() -> None:
    status, _, err = run("serve", env={"TRIO_CHAT_LIMIT": "rooms=5 sessions=none"})
    assert (status, err) == (2, "trio-chat: invalid limit sessions: got 'none', expected a whole number\n")
    status, _, err = run("serve", env={"TRIO_CHAT_PORT": "70000"})
    assert status == 2 and "70000 is not in the range" in err
    proxies = {"TRIO_CHAT_PROXY": "127.0.0.1 2001:db8::/32 none"}
    status, _, err = run("serve", "--journal", "memory", env=proxies)
    assert status == 2 and err.startswith("trio-chat: invalid proxy: got 'none', ")


@pytest.mark.parametrize("value", ["tcp://10.96.0.1:5555", "udp://10.96.0.1:53", "sctp://[fd00::1]:1"])
def test_the_variable_of_a_service_named_trio_chat_does_not_stop_the_start(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kubernetes and Docker set the variable to a URL."""
    configs: list[Config] = []

    async def configured(config: Config, _: object) -> bool:
        configs.append(config)
        return True

    monkeypatch.setattr("trio_chat.server.process.run_process", configured)
    links = {"TRIO_CHAT_PORT": value, "TRIO_CHAT_SERVICE_HOST": "10.96.0.1", "TRIO_CHAT_SERVICE_PORT": "80"}
    status, out, err = run("serve", "--journal", "memory", env=links)
    assert (status, out) == (0, "")
    assert err.startswith(f"trio-chat: ignored TRIO_CHAT_PORT={value!r}, ") and err.count("\n") == 1
    assert run("serve", "--journal", "memory", "--port", "7", env=links) == (0, "", "")
    assert [config.port for config in configs] == [5555, 7]


def test_every_proxy_reaches_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    configs: list[Config] = []

    async def configured(config: Config, _: object) -> bool:
        configs.append(config)
        return True

    monkeypatch.setattr("trio_chat.server.process.run_process", configured)
    memory = ("--journal", "memory")
    assert run("serve", *memory, "--proxy", "127.0.0.1", "--proxy", "10.0.0.0/8") == (0, "", "")
    assert run("serve", *memory) == (0, "", "")
    assert [config.proxies for config in configs] == [("127.0.0.1", "10.0.0.0/8"), ()]


def test_limits_can_be_listed() -> None:
    status, out, _ = run("serve", "--limit", "help")
    assert status == 0
    assert {"talk_burst=20", "drain_s=8"} <= {line.split()[0] for line in out.splitlines()}


def test_joining_without_a_server_is_one_line_and_exit_3() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    status, out, err = run("join", f"ada@127.0.0.1:{port}")
    assert (status, out) == (3, "")
    assert err == f"trio-chat: cannot connect to 127.0.0.1:{port}: Connection refused\n"


def test_a_load_test_interrupted_at_its_start_is_exit_130(monkeypatch: pytest.MonkeyPatch) -> None:
    async def interrupted(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("loadtest.command.measure", interrupted)
    assert run("loadtest") == (130, "", "trio-chat: interrupted\n")


@pytest.mark.parametrize(
    ("args", "option"),
    [
        (("serve", "--port", "0", "--journal", "-"), "--journal"),
        (("join", "ada@127.0.0.1:1", "--tokens", "-"), "--tokens"),
    ],
)
def test_a_file_that_cannot_be_a_dash_is_one_line_and_exit_2(
    args: tuple[str, ...], option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    says = f"invalid {option}: got '-', expected a file; it cannot be standard input or output"
    assert run(*args) == (2, "", f"trio-chat: {says}\n")
    assert list(tmp_path.iterdir()) == []


def test_each_option_with_a_file_refuses_or_documents_a_dash() -> None:
    """A new option with a file fails this test until it is added to one of the two sets."""
    named = {"PATH", "FILE", "TO"}
    found = set()

    def visit(command: click.Command, name: str) -> None:
        for param in command.params:
            if param.metavar in named:
                found.add((name, param.opts[0], param.callback is refuse_standard))
        for inner in command.commands.values() if isinstance(command, click.Group) else ():
            visit(inner, f"{name} {inner.name}".strip())

    visit(main, "")
    refused = {entry[:2] for entry in found if entry[2]}
    takes = {entry[:2] for entry in found if not entry[2]}
    journals = {(f"journal {name}", "--journal") for name in main.commands["journal"].commands}  # type: ignore[attr-defined]
    assert refused == {("serve", "--journal"), ("join", "--tokens"), *journals}
    assert takes == {
        ("loadtest", "--json"),
        ("journal export", "-o"),
        ("journal import", "source"),
        ("journal backup", "to"),
    }


def test_log_level_sets_the_level_of_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    levels: list[str] = []

    async def served(*_: object) -> bool:
        return True

    monkeypatch.setattr("trio_chat.server.process.run_process", served)
    monkeypatch.setattr("trio_chat.server.logs.set_up_logging", levels.append)
    memory = ("serve", "--journal", "memory")
    assert run(*memory)[0] == run(*memory, "--log-level", "INFO")[0] == 0
    assert run(*memory, env={"TRIO_CHAT_LOG_LEVEL": "debug"})[0] == 0
    assert levels == ["warning", "info", "debug"]
    status, _, err = run(*memory, "--log-level", "loud")
    assert status == 2 and "'loud' is not one of 'debug', 'info', 'warning', 'error'" in err
