"""`trio-chat journal`: what the owner of a journal does with its file.

The work is in `trio_chat.journal.admin`; here it is parsed, called, and told.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import click

from trio_chat.cli.bar import bar
from trio_chat.cli.interrupt import INTERRUPTED
from trio_chat.cli.one_line import errors_in_one_line
from trio_chat.cli.printable import printable
from trio_chat.cli.standard_output import STANDARD, refuse_standard, write_standard_output
from trio_chat.errors import JournalToolError, OutputClosed, Refused

__all__ = ["journal"]

ROOMS_SHOWN = 10

_at = click.option(
    "--journal",
    "name",
    envvar="TRIO_CHAT_JOURNAL",
    show_envvar=True,
    metavar="PATH",
    callback=refuse_standard,
    help="The journal's file.  [default: that of `trio-chat serve`]",
)


@click.group()
def journal() -> None:
    """Look at a journal, take it out, bring it in, copy it, check it, prune it, correct its times.

    \b
    Exit status: 0 fine, 1 something is wrong in the journal,
                 2 it could not be done, 130 interrupted.
    """


@journal.command()
@_at
@click.option("--all", "every", is_flag=True, help=f"Every room, not just the {ROOMS_SHOWN} largest.")
@click.option("--json", "as_json", is_flag=True, help="All of it, every room, as one JSON object.")
def info(name: str | None, every: bool, as_json: bool) -> None:
    """What is in it, and how it fares; beside a server, too."""
    import msgspec

    from trio_chat.journal.admin.format import described
    from trio_chat.journal.admin.info import info

    with _one_line():
        found = info(_path(name))
    if as_json:
        click.echo(msgspec.json.encode(found))
        return
    for line in described(found, None if every else ROOMS_SHOWN):
        click.echo(printable(line))


@journal.command()
@_at
@click.option("--room", "rooms", multiple=True, help="Only this one; may be repeated.")
@click.option("--since", metavar="TIME", help="Only what was said since: 90d, 12h, or a date as 2026-01-31.")
@click.option("--with-refs", is_flag=True, help="Also what lets clients send again after an import.")
@click.option("-o", "--output", metavar="FILE", help="Into this new file; `-` is standard output.")
@click.option("--force", is_flag=True, help="Replace that file if it is there.")
def export(
    name: str | None,
    rooms: tuple[str, ...],
    since: str | None,
    with_refs: bool,
    output: str | None,
    force: bool,
) -> None:
    """Write it out as JSON lines; beside a server, too."""
    from trio_chat.journal.admin.atomic_file import whole_file
    from trio_chat.journal.admin.export import export

    if output == STANDARD:
        output = None
    quiet = output is None and sys.stdout.isatty()  # the bar would stand among the lines
    with _one_line(), bar("exporting", hidden=quiet) as tell:
        since_ms = _moment(since) if since else 0
        text = export(_path(name), rooms=_keys(rooms), since_ms=since_ms, with_refs=with_refs, progress=tell)
        if output is None:
            write_standard_output(text)
            return
        with whole_file(Path(output), replace=force) as made, made.open("wb") as file:
            file.writelines(text)


@journal.command("import")
@_at
@click.argument("source", metavar="FILE")
def import_(name: str | None, source: str) -> None:
    """Take an export in, `-` for standard input; no server may run.

    The rooms in it must not be in the journal yet. They keep their numbers, and have new epochs: nobody is
    resumed in them. All of it comes in, or nothing.
    """
    from trio_chat.journal.admin.importing import import_journal

    with _one_line(), bar("importing") as tell:
        path = _path(name)
        if source == STANDARD:
            done = import_journal(path, sys.stdin.buffer)
        else:
            try:
                file = open(source, "rb")  # noqa: SIM115 - the block that closes it is the next one
            except OSError as error:
                raise JournalToolError(f"cannot read {source}: {error.strerror}") from error
            with file:
                done = import_journal(path, file, progress=tell)
    taken = f"{_count(done.rooms, 'room')} and {_count(done.entries, 'entry')}"
    click.echo(f"{taken} imported into {printable(str(path))}")


@journal.command()
@_at
@click.argument("to", metavar="TO")
@click.option("--force", is_flag=True, help="Replace that file if it is there.")
def backup(name: str | None, to: str, force: bool) -> None:
    """Copy it to another file, whole and checked; beside a server, too.

    With `-` the copy goes to standard output once it is whole; until then it is in a temporary file, in
    TMPDIR. A server that starts on the copy gives its rooms new epochs.
    """
    from trio_chat.journal.admin.backup import backup, temporary_backup

    if to == STANDARD:
        with _one_line(), bar("copying") as tell:
            if sys.stdout.isatty():
                raise JournalToolError(
                    "cannot write a copy to a terminal: redirect it, as in `backup - > copy.db`"
                )
            with temporary_backup(_path(name), progress=tell) as chunks:
                write_standard_output(chunks)
        return
    with _one_line(), bar("copying") as tell:
        size = backup(_path(name), Path(to), replace=force, progress=tell)
    click.echo(f"{printable(to)}: {size:,} bytes")


@journal.command()
@_at
@click.option("--quick", is_flag=True, help="Without what takes longest: whether a search finds the words.")
def check(name: str | None, quick: bool) -> None:
    """Check every number, entry, ref and the search index; beside a server, too."""
    from trio_chat.journal.admin.check import FINDINGS_MAX, check

    with _one_line(), bar("checking") as tell:
        path = _path(name)
        checked = check(path, quick=quick, progress=tell)
    with suppress(OutputClosed):  # the exit status is the verdict, with or without a reader
        for finding in checked.findings:
            click.echo(printable(finding))
    looked = f"{_count(checked.rooms, 'room')} and {_count(checked.entries, 'entry')}"
    if checked.findings:
        count = len(checked.findings)
        more = " or more" if count == FINDINGS_MAX else ""
        damaged = f"{printable(str(path))} is damaged: {count}{more} found in {looked}"
        click.secho(f"trio-chat: {damaged}", fg="red", err=True)
        sys.exit(1)
    with suppress(OutputClosed):
        click.echo(f"{printable(str(path))}: {looked}, nothing wrong")


@journal.command()
@_at
@click.option("--before", metavar="TIME", help="What was said before: 90d ago, 12h, or a date as 2026-01-31.")
@click.option("--keep-entries", type=click.IntRange(min=1), help="All but the newest so many of each room.")
@click.option(
    "--room",
    "rooms",
    multiple=True,
    metavar="NAME",
    help="Only in this one; may be repeated. Without a bound the room is removed wholly.",
)
@click.option("--vacuum", is_flag=True, help="Then write the file anew, and so make it smaller.")
@click.option("--dry-run", is_flag=True, help="Only say what would go; beside a server, too.")
def prune(
    name: str | None,
    before: str | None,
    keep_entries: int | None,
    rooms: tuple[str, ...],
    vacuum: bool,
    dry_run: bool,
) -> None:
    """Forget what is old, or remove whole rooms; no server may run.

    Who comes back to what is forgotten is told of the gap. A server that is to forget by itself takes --keep.

    --room NAME without --before and --keep-entries removes that room wholly: entries, topic and all. When
    something is said there again, it is a new room with a new history.
    """
    from trio_chat.journal.admin.prune import Old, prune
    from trio_chat.journal.admin.remove import remove_rooms

    is_whole = before is None and keep_entries is None
    if is_whole and not rooms:
        raise click.UsageError(
            "say what is to go: --before TIME, --keep-entries N, or both; or --room NAME, a whole room"
        )
    with _one_line(), bar("removing" if is_whole else "forgetting") as tell:
        keys = _keys(rooms)
        old = Old(keys, _moment(before) if before else 0, keep_entries or 0)
        path = _path(name)
        if is_whole:
            pruned = remove_rooms(path, keys, dry_run=dry_run, vacuum=vacuum, progress=tell)
        else:
            pruned = prune(path, old, dry_run=dry_run, vacuum=vacuum, progress=tell)
    for room in pruned.rooms:
        numbers = f"{room.first} to {room.last}" if room.first <= room.last else "no entries"
        click.echo(f"{room.room}: {numbers}{', and the room itself' if is_whole else ''}")
    gone = _count(sum(room.last + 1 - room.first for room in pruned.rooms), "entry")
    if is_whole:
        gone = f"{_count(len(pruned.rooms), 'room')} and {gone}"
    done = "removed" if is_whole else "forgotten"
    shrunk = f", {pruned.bytes_before:,} bytes became {pruned.bytes_after:,}" if pruned.vacuumed else ""
    click.echo(f"{gone} {f'would be {done}' if dry_run else done}{shrunk}")
    if vacuum and not dry_run and not pruned.vacuumed:
        click.secho("trio-chat: interrupted, and the file is as large as it was", fg="red", err=True)
        sys.exit(INTERRUPTED)


@journal.command()
@_at
@click.option("--room", "rooms", multiple=True, required=True, help="The room; may be repeated.")
@click.option("--dry-run", is_flag=True, help="Only report what would change; beside a server, too.")
def retime(name: str | None, rooms: tuple[str, ...], dry_run: bool) -> None:
    """Move entries from the future back to now; no server may run.

    A clock that was wrong leaves such entries, and later ones get the same time. Their order stays. The room
    gets a new epoch: clients load it anew.
    """
    from datetime import timedelta

    from trio_chat.journal.admin.retime import retime
    from trio_chat.journal.dates import date_text
    from trio_chat.server.clock import EARLIEST_MS, wall_clock_ms

    with _one_line(), bar("correcting") as tell:
        now_ms = wall_clock_ms()
        if now_ms < EARLIEST_MS:
            raise JournalToolError(
                f"cannot tell the future: the system clock shows {date_text(now_ms)}; set it first"
            )
        retimed = retime(_path(name), _keys(rooms), now_ms, dry_run=dry_run, progress=tell)
    for room in retimed:
        by = timedelta(seconds=-(-room.ahead_ms // 1_000))
        if not room.ahead_ms:
            click.echo(f"{room.room}: no entry is in the future")
        elif room.last < room.first:
            click.echo(
                f"{room.room}: no entries; its time {'would be' if dry_run else 'was'} moved back by {by}"
            )
        else:
            moved = "would be moved" if dry_run else "were moved"
            click.echo(f"{room.room}: {room.first} to {room.last} {moved} back by {by}")


@contextmanager
def _one_line() -> Iterator[None]:
    """Ctrl-C too is one line. Every command does its work whole or not at all."""
    with errors_in_one_line():
        try:
            yield
        except KeyboardInterrupt:
            click.secho("\ntrio-chat: interrupted, and nothing was changed", fg="red", err=True)
            sys.exit(INTERRUPTED)


def _path(name: str | None) -> Path:
    """The file meant, by name or as `serve` would have it."""
    if not name:
        from trio_chat.server.process import default_journal

        name = default_journal()
    if name in ("memory", ":memory:"):
        raise JournalToolError("what is kept in memory has no file; --journal PATH names one")
    return Path(name)


def _keys(rooms: tuple[str, ...]) -> list[str]:
    """Return the keys of rooms, each named as people write it, perhaps with a `#` before it."""
    from trio_chat.hub.names import prepare_room

    try:
        return [prepare_room(room.removeprefix("#")).key for room in rooms]
    except Refused as refused:
        raise JournalToolError(refused.detail) from None


def _moment(text: str) -> int:
    from trio_chat.journal.admin.durations import moment_of

    return moment_of(text, int(time.time() * 1_000))


def _count(number: int, what: str) -> str:
    many = f"{what[:-1]}ies" if what.endswith("y") else f"{what}s"
    return f"{number:,} {what if number == 1 else many}"
