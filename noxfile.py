"""What has to hold before a change goes in: `nox` runs all of it, `nox -s NAME` one session.

The sessions are the same here and in CI, and each installs what it needs.
"""

import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path
from urllib.request import urlopen

import nox

nox.needs_version = ">=2025.5"
nox.options.reuse_venv = "yes"
nox.options.error_on_missing_interpreters = False
nox.options.sessions = ["tests", "coverage", "lint", "types", "wheel"]

PYPROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = nox.project.python_versions(PYPROJECT)  # from the classifiers
CODE = ("trio_chat", "loadtest", "tests", "noxfile.py")

# All that flake8-async asks by itself, and two it must be asked for: no async generator that is not a
# context manager, no endless loop without a checkpoint. Not ASYNC124: what a protocol wants async may
# have nothing to wait for.
ASYNC_RULES = (
    "--enable=ASYNC1,ASYNC2,ASYNC3,ASYNC900,ASYNC913",
    "--disable=ASYNC124",
    "--startable-in-context-manager=live,_run_server,_say,serve_chat",  # only ever started in a nursery
)

# Pinned: another version may find more, or less.
TYPESCRIPT = "5.9.3"

REPORTED = ("--cov=trio_chat", "--cov=loadtest", "--cov-report=term")

# What is held to its own tests alone, in percent of the lines and of the branches, each.
HELD_TO = 95
OWN_TESTS = {
    "trio_chat.wire": ["tests/wire"],
    "trio_chat.hub": ["tests/hub"],
    "trio_chat.server.commit": ["tests/server/test_commit.py", "tests/server/test_commit_fails.py"],
}


def _group(session: nox.Session, name: str) -> None:
    session.install("-e.", *nox.project.dependency_groups(PYPROJECT, name))


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """All tests, on each Python of pyproject's classifiers that this machine has; others are skipped.

    Takes pytest's arguments: `nox -s tests-3.12 -- -k framing -x`. Without any, they run on all cores.
    """
    _group(session, "test")
    session.run("pytest", *(session.posargs or ("-n", "auto")))


@nox.session
def coverage_report(session: nox.Session) -> None:
    """Report which lines and branches all tests together reach; takes twice the time of `tests`."""
    _group(session, "test")
    session.run("pytest", "-n", "auto", *REPORTED, *session.posargs)


@nox.session
def coverage(session: nox.Session) -> None:
    """Require what OWN_TESTS says of a part's own tests; `coverage_report` has the whole."""
    _group(session, "test")
    report = Path(session.create_tmp(), "coverage.json")
    short = []
    for package, paths in OWN_TESTS.items():
        session.run(
            "pytest", "-q", *paths, f"--cov={package}", "--cov-report=term", f"--cov-report=json:{report}"
        )
        totals = json.loads(report.read_text())["totals"]
        lines = totals["percent_statements_covered"]
        branches = totals["percent_branches_covered"]
        session.log(f"{package} by {' '.join(paths)}: {lines:.1f} % of lines, {branches:.1f} % of branches")
        if min(lines, branches) < HELD_TO:
            short.append(package)
    if short:
        session.error(f"below {HELD_TO} % by their own tests: {', '.join(short)}")


@nox.session
def lint(session: nox.Session) -> None:
    """Run ruff: likely bugs, style and format."""
    session.install(*nox.project.dependency_groups(PYPROJECT, "lint"))
    session.run("ruff", "check", *CODE)
    session.run("ruff", "format", "--check", *CODE)


@nox.session
def lint_async(session: nox.Session) -> None:
    """Run flake8-async: the traps of Trio that ruff does not see. Takes two minutes; CI runs it too."""
    session.install(*nox.project.dependency_groups(PYPROJECT, "lint"))
    sources = [path for top in CODE for path in (Path(top), *Path(top).rglob("*.py")) if path.suffix]
    # It takes a third of a second a file; more than half of them are not async at all.
    concerned = [str(path) for path in sources if "async" in path.read_text()]
    session.run("flake8-async", *ASYNC_RULES, *concerned)


@nox.session
def types(session: nox.Session) -> None:
    """mypy --strict over the packages, the tests and this file; pyproject.toml says over what."""
    _group(session, "types")
    session.run("mypy")


@nox.session
def bench(session: nox.Session) -> None:
    """How fast and how small: all of it writes docs/benchmarks.md, and wants a quiet machine for minutes.

    `nox -s bench -- --quick` is small, `nox -s bench -- burst stalled` some of it, `-- --help` has the rest.
    `nox -s bench -- --against COMMIT` says whether HEAD is slower than that commit, and fails if it is.
    """
    session.install("-e.")
    session.run("python", "-m", "tests.bench", *session.posargs)


@nox.session
def sim(session: nox.Session) -> None:
    """The whole chat simulated with thousands of seeds, in minutes; `-- --quick` is a few hundred.

    A failing seed is printed with the line that replays it. `nox -s sim -- --seeds 20000 --from 5000`
    continues after another run, `-- stopped_reader` runs one story, `-- --help` lists all options.
    """
    session.install("-e.")
    session.run("python", "-m", "tests.sim", *session.posargs)


@nox.session
def mutants(session: nox.Session) -> None:
    """The bugs planted in our own server, hunted from twenty starting points each; takes minutes.

    `nox -s mutants -- told-twice` hunts one, `-- --starts 3` is quicker, `-- --help` has the rest.
    """
    _group(session, "test")
    session.run("python", "-m", "tests.mutants", *session.posargs)


@nox.session
def marathon(session: nox.Session) -> None:
    """A real server killed ten times while two hundred real members talk, who come back by themselves; takes
    minutes. `nox -s marathon -- --kills 3 --members 50` is shorter; `tests` runs a shorter one yet.
    """
    _group(session, "test")
    session.run("python", "-m", "tests.faults.marathon", *session.posargs)


@nox.session
def siege(session: nox.Session) -> None:
    """Attack a real server, over loopback, while two members chat, and judge what they saw; takes minutes.

    `nox -s siege -- --quick` is the short form, of a minute, for CI; `-- flood-say-8` is one attack,
    `-- --list` names all, `-- --write` puts the table into docs/benchmarks.md, `-- --help` has the rest.
    """
    session.install("-e.")
    session.run("python", "-m", "tests.siege", *session.posargs)


@nox.session
def cases(session: nox.Session) -> None:
    """Situations of operation that have gone wrong elsewhere, on the real commands.

    Takes pytest's arguments. A case that needs root, libfaketime or another program says so when it skips.
    """
    _group(session, "test")
    session.run("pytest", "-n", "auto", "tests/cases", *session.posargs)


@nox.session
def browser(session: nox.Session) -> None:
    """The page in this machine's Chromium, with a real server and a terminal on the other side.

    Takes pytest's arguments; `nox -s browser -- -m short` is the short form, for CI.
    """
    _group(session, "browser")
    session.run("pytest", "-n", "auto", "tests/browser", *session.posargs)


@nox.session(venv_backend="none")
def page_types(session: nox.Session) -> None:
    """Check the types of the page's modules with a strict TypeScript, which npm installs for this session.

    A browser runs the modules as they are: nothing is compiled, and nothing of this is shipped.
    """
    npm = shutil.which("npm")
    if npm is None:
        session.skip("there is no npm on this machine")
    away = Path(session.create_tmp()).resolve()
    compiler = away / "node_modules" / "typescript" / "package.json"
    if not compiler.exists() or json.loads(compiler.read_text())["version"] != TYPESCRIPT:
        options = ("--no-save", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund")
        session.run(npm, "install", f"--prefix={away}", *options, f"typescript@{TYPESCRIPT}")
    session.run(str(away / "node_modules" / ".bin" / "tsc"), "--project", "tests/browser/tsconfig.json")


@nox.session
def pictures(session: nox.Session) -> None:
    """The pictures in docs/pictures, taken anew from the page itself, in this machine's Chromium."""
    _group(session, "browser")
    session.run("python", "-m", "tests.browser.pictures")


@nox.session
def wheel(session: nox.Session) -> None:
    """The wheel alone, as users get it: built, installed in a bare environment, its commands run."""
    away = Path(session.create_tmp()).resolve()
    for old in away.glob("*.whl"):
        old.unlink()
    session.run("python", "-m", "pip", "wheel", "--quiet", "--no-deps", f"--wheel-dir={away}", ".")
    (built,) = away.glob("*.whl")
    session.run("python", "-m", "venv", "--clear", str(away / "bare"))
    command = str(away / "bare" / "bin" / "trio-chat")
    session.chdir(away)  # where no checkout stands in for what the wheel forgot
    session.run(str(away / "bare" / "bin" / "pip"), "install", "--quiet", str(built), external=True)
    session.run(command, "--help", external=True)
    _serve_once(session, command, away)


def _serve_once(session: nox.Session, command: str, away: Path) -> None:
    """`serve` says where it listens and where it keeps what is said, shows its page, and ends well."""
    # Not in the user's data directory.
    environment = {**os.environ, "HOME": str(away), "XDG_DATA_HOME": str(away / "data")}
    with subprocess.Popen(
        [command, "serve", "--port=0"], stdout=subprocess.PIPE, text=True, env=environment
    ) as server:
        assert server.stdout is not None
        said = "".join(server.stdout.readline() for _ in range(3))
        page = _page(said.split()[2])
        server.send_signal(signal.SIGTERM)
        status = server.wait(20)
    kept = re.escape(f"messages are kept forever, in {away}/")
    if (
        not re.fullmatch(rf"listening on tcp://127\.0\.0\.1:\d+\nopen http.*\n{kept}.*\n", said)
        or status != 0
    ):
        session.error(f"serve said {said!r} first and ended with status {status}")
    if "<!doctype html>" not in page:
        session.error(f"the page begins with {page[:80]!r}")


def _page(listening: str) -> str:
    with urlopen(listening.replace("tcp://", "http://"), timeout=20) as answer:
        return str(answer.read().decode())
