"""The environment of the process: variables, users, open files, signals, addresses of the machine."""

import os
import pty
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.cases.commands import PATIENCE_S, Server, command, environment, run, serve

ROOT = Path(__file__).parent.parent.parent
NO_USER = 54_321
# All modules are imported before the user changes, since that user may not be able to read them.
AS_NO_USER = f"""
import importlib, os, pkgutil, sys
import loadtest, trio_chat
for top in (trio_chat, loadtest):
    for module in pkgutil.walk_packages(top.__path__, top.__name__ + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
import encodings.idna, encodings.utf_8_sig, platformdirs.unix
os.chdir("/")
os.setgroups([])
os.setgid({NO_USER})
os.setuid({NO_USER})
for name in ("HOME", "USER", "LOGNAME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
    os.environ.pop(name, None)
from trio_chat.cli import main
main(prog_name="trio-chat")
"""


def test_the_variables_of_a_kubernetes_service_do_not_stop_the_start(tmp_path: Path) -> None:
    links = {
        "TRIO_CHAT_PORT": "tcp://10.96.0.1:5555",
        "TRIO_CHAT_SERVICE_HOST": "10.96.0.1",
        "TRIO_CHAT_SERVICE_PORT": "5555",
        "TRIO_CHAT_PORT_5555_TCP": "tcp://10.96.0.1:5555",
        "TRIO_CHAT_PORT_5555_TCP_PROTO": "tcp",
        "TRIO_CHAT_PORT_5555_TCP_PORT": "5555",
        "TRIO_CHAT_PORT_5555_TCP_ADDR": "10.96.0.1",
    }
    with serve(tmp_path, "--journal", "memory", env=environment(tmp_path, **links)) as server:
        assert server.stop() == 0
    with subprocess.Popen(
        command("serve", "--journal", "memory"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment(tmp_path, **links),
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(
            b"trio-chat: ignored TRIO_CHAT_PORT='tcp://10.96.0.1:5555'"
        )
        # The default port may be in use on the machine of the test.
        assert re.match(rb"listening on tcp://127|trio-chat: cannot listen", process.stdout.readline())
        process.terminate()


def as_no_user(*args: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", AS_NO_USER, *args],
        input=stdin,
        capture_output=True,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        timeout=PATIENCE_S,
        check=False,
    )


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to become a user that is in no passwd file")
def test_a_user_without_a_home_directory_gets_the_option_to_use(tmp_path: Path) -> None:
    if as_no_user("--version").returncode:
        pytest.skip("needs a Python that other users may read")
    done = as_no_user("serve", "--port", "0")
    expected = b"trio-chat: cannot choose a journal file: HOME is not set; set --journal PATH\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, b"", expected)
    done = as_no_user("journal", "info")
    assert (done.returncode, done.stdout, done.stderr) == (2, b"", expected)
    with serve(tmp_path, "--journal", "memory") as server:
        done = as_no_user("join", f"x@{server.address}", stdin=b"hi\n")
        assert (done.returncode, b"x: hi" in done.stdout) == (0, True), done.stderr
        assert b"cannot remember your identity: HOME is not set; --tokens PATH names a file" in done.stderr
        assert server.stop() == 0


@pytest.mark.parametrize("files", [20, 31])
def test_too_few_open_files_are_one_line(files: int, tmp_path: Path) -> None:
    limited = ("bash", "-c", f'ulimit -n {files}; exec "$@"', "bash")
    done = run(tmp_path, "serve", "--port", "0", "--journal", "memory", prefix=limited)
    assert done.returncode == 2
    assert re.fullmatch(
        rb"trio-chat: cannot start: at most \d+ open files; raise the limit \(ulimit -n\) to \d+\n",
        done.stderr,
    )
    done = run(tmp_path, "loadtest", "--users", "9", prefix=limited)
    assert done.returncode == 2
    assert re.fullmatch(rb"trio-chat: cannot open \d+ files: the limit is \d+; .*\n", done.stderr)


def test_with_few_open_files_members_are_served_and_others_wait(tmp_path: Path) -> None:
    limited = ("bash", "-c", 'ulimit -n 40; exec "$@"', "bash")
    with serve(tmp_path, prefix=limited) as server:
        crowd = [socket.create_connection(("127.0.0.1", server.port), PATIENCE_S) for _ in range(60)]
        for each in crowd:
            each.close()
        done = run(tmp_path, "join", f"ada@{server.address}", "--tokens", "none", stdin=b"kept\n")
        assert done.returncode == 0, done.stderr
        assert server.stop() == 0
    assert b'"kept"' in run(tmp_path, "journal", "export").stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_drains(number: signal.Signals, tmp_path: Path) -> None:
    with serve(tmp_path, "--journal", "memory") as server:
        assert server.stop(number) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_supervisor_may_repeat_a_signal_until_the_process_has_ended(
    number: signal.Signals, tmp_path: Path
) -> None:
    with serve(tmp_path) as server:
        deadline = time.monotonic() + PATIENCE_S
        while server.process.poll() is None:
            assert time.monotonic() < deadline, "the server has not ended"
            server.process.send_signal(number)
            time.sleep(0.005)
        assert server.process.returncode == 0
    assert b'"state":"stopped in good order"' in run(tmp_path, "journal", "info", "--json").stdout


def test_a_server_drains_when_its_terminal_closes(tmp_path: Path) -> None:
    """Its standard streams are closed with the terminal."""
    near, far = pty.openpty()
    serve = command("serve", "--port", "0")
    login = (
        "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
        " os.execv(sys.argv[1], sys.argv[1:])"
    )
    with subprocess.Popen(
        [sys.executable, "-c", login, *serve],
        stdin=far,
        stdout=far,
        stderr=far,
        env=environment(tmp_path),
        start_new_session=True,
    ) as process:
        os.close(far)
        said = b""
        while b"messages are kept" not in said:
            said += os.read(near, 4_096)
        os.close(near)
        assert process.wait(PATIENCE_S) == 0
    assert b'"state":"stopped in good order"' in run(tmp_path, "journal", "info", "--json").stdout


def test_a_hangup_does_not_end_a_server_under_nohup(tmp_path: Path) -> None:
    with serve(tmp_path, "--journal", "memory", prefix=("nohup",)) as server:
        server.process.send_signal(signal.SIGHUP)
        done = run(tmp_path, "join", f"ada@{server.address}", "--tokens", "none", stdin=b"hi\n")
        assert done.returncode == 0, done.stderr
        assert server.stop() == 0


def test_a_server_that_was_stopped_and_continued_serves_on(tmp_path: Path) -> None:
    with serve(tmp_path, "--journal", "memory") as server:
        server.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, server.process.pid, os.WSTOPPED)
        server.process.send_signal(signal.SIGCONT)
        done = run(tmp_path, "join", f"ada@{server.address}", "--tokens", "none", stdin=b"hi\n")
        assert done.returncode == 0, done.stderr
        assert server.stop() == 0


def test_a_server_ended_before_it_listens_kept_its_status(tmp_path: Path) -> None:
    """Before the handler is installed, a signal ends the process as it ends any other."""
    with subprocess.Popen(
        command("serve", "--port", "0"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(tmp_path),
    ) as process:
        process.terminate()
        out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode in (0, -signal.SIGTERM)
    assert (out, err) == (b"", b"")


@pytest.mark.parametrize("host", ["::", "0.0.0.0", "::ffff:0.0.0.0"])
def test_every_printed_address_accepts_connections(host: str, tmp_path: Path) -> None:
    if ":" in host and not socket.has_ipv6:
        pytest.skip("no IPv6 on this machine")
    with serve(tmp_path, "--journal", "memory", "--host", host) as server:
        output = _printed(server)
        pages = re.findall(r"open (http://\S+)", output)
        joined = re.findall(r"trio-chat join (\S+?),", output)
        assert pages
        for page in pages:
            with urllib.request.urlopen(f"{page}/", timeout=PATIENCE_S) as answer:
                assert answer.status == 200
        for place in joined:
            done = run(tmp_path, "join", f"ada@{place}", "--tokens", "none", stdin=b"hi\n")
            assert done.returncode == 0, done.stderr
        assert server.stop() == 0


def _printed(server: Server) -> str:
    """Return the lines after the first one, which are written together with it."""
    out = server.process.stdout
    assert out is not None
    os.set_blocking(out.fileno(), False)
    return (out.read() or b"").decode()
