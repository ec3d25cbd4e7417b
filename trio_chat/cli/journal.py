"""`trio-chat journal`: the commands for the owner of a journal's file.

The work is done in `trio_chat.journal.admin`. This module parses the options and prints the results.
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

_journal_option = click.option(
    "--journal",
    "name",
    envvar="TRIO_CHAT_JOURNAL",
    show_envvar=True,
    metavar="PATH",
    callback=refuse_standard,
    help="The journal's file.  [default: the file of `trio-chat serve`]",
)


@click.group()
def journal() -> None:
    """Inspect, export, import, back up, check, prune and correct a journal.

    \b
    Exit status: 0 done, 1 `check` found problems in the journal,
                 2 the command failed and changed nothing, 130 interrupted.
    """


@journal.command()
@_journal_option
@click.option("--all", "every", is_flag=True, help=f"Show every room, not only the {ROOMS_SHOWN} largest.")
@click.option("--json", "as_json", is_flag=True, help="Print everything, every room, as one JSON object.")
def info(name: str | None, every: bool, as_json: bool) -> None:
    """Show the journal's state, size and rooms; a server may be running.

    Exit status: 0 done, 2 the journal cannot be read, 130 interrupted.
    """
    import msgspec

    from trio_chat.journal.admin.format import format_info
    from trio_chat.journal.admin.info import info

    with _report_errors():
        found = info(_path(name))
    if as_json:
        click.echo(msgspec.json.encode(found))
        return
    for line in format_info(found, None if every else ROOMS_SHOWN):
        click.echo(printable(line))


@journal.command()
@_journal_option
@click.option("--room", "rooms", multiple=True, help="Export only this room; may be repeated.")
@click.option(
    "--since", metavar="TIME", help="Export only newer entries: an age (90d, 12h) or a date (2026-01-31)."
)
@click.option("--with-refs", is_flag=True, help="Include refs, so that clients can retry after an import.")
@click.option("-o", "--output", metavar="FILE", help="Write to this new file; `-` is standard output.")
@click.option("--force", is_flag=True, help="Replace FILE if it exists.")
def export(
    name: str | None,
    rooms: tuple[str, ...],
    since: str | None,
    with_refs: bool,
    output: str | None,
    force: bool,
) -> None:
    """Write the journal as JSON lines; a server may be running.

    Exit status: 0 done, 2 the journal cannot be exported, 130 interrupted.
    """
    from trio_chat.journal.admin.atomic_file import atomic_file
    from trio_chat.journal.admin.export import export

    if output == STANDARD:
        output = None
    quiet = output is None and sys.stdout.isatty()  # the bar would be mixed with the exported lines
    with _report_errors(), bar("exporting", hidden=quiet) as progress:
        since_ms = _parse_time(since) if since else 0
        text = export(
            _path(name), rooms=_keys(rooms), since_ms=since_ms, with_refs=with_refs, progress=progress
        )
        if output is None:
            write_standard_output(text)
            return
        with atomic_file(Path(output), replace=force) as made, made.open("wb") as file:
            file.writelines(text)


@journal.command("import")
@_journal_option
@click.argument("source", metavar="FILE")
def import_(name: str | None, source: str) -> None:
    """Import an export from FILE (`-` is standard input); stop the server first.

    The journal must not have the rooms of the export yet. They keep their numbers and get new epochs, so
    clients reload them. Everything is imported, or nothing.

    Exit status: 0 done, 2 nothing was imported, 130 interrupted.
    """
    from trio_chat.journal.admin.importing import import_journal

    with _report_errors(), bar("importing") as progress:
        path = _path(name)
        if source == STANDARD:
            done = import_journal(path, sys.stdin.buffer)
        else:
            try:
                file = open(source, "rb")  # noqa: SIM115 - the block that closes it is the next one
            except OSError as error:
                raise JournalToolError(f"cannot read {source}: {error.strerror}") from error
            with file:
                done = import_journal(path, file, progress=progress)
    taken = f"{_count(done.rooms, 'room')} and {_count(done.entries, 'entry')}"
    click.echo(f"{taken} imported into {printable(str(path))}")


@journal.command()
@_journal_option
@click.argument("to", metavar="TO")
@click.option("--force", is_flag=True, help="Replace TO if it exists.")
def backup(name: str | None, to: str, force: bool) -> None:
    """Copy the journal to the file TO and check the copy; a server may be running.

    With `-` the finished copy is written to standard output; until then it is a temporary file in TMPDIR. A
    server that starts on the copy gives its rooms new epochs.

    Exit status: 0 done, 2 the journal cannot be copied, 130 interrupted.
    """
    from trio_chat.journal.admin.backup import backup, temporary_backup

    if to == STANDARD:
        with _report_errors(), bar("copying") as progress:
            if sys.stdout.isatty():
                raise JournalToolError(
                    "cannot write a copy to a terminal: redirect it, as in `backup - > copy.db`"
                )
            with temporary_backup(_path(name), progress=progress) as chunks:
                write_standard_output(chunks)
        return
    with _report_errors(), bar("copying") as progress:
        size = backup(_path(name), Path(to), replace=force, progress=progress)
    click.echo(f"{printable(to)}: {size:,} bytes")


@journal.command()
@_journal_option
@click.option("--quick", is_flag=True, help="Skip the slowest checks: SQLite's indexes and the search index.")
def check(name: str | None, quick: bool) -> None:
    """Check every number, entry, ref and the search index; a server may be running.

    Exit status: 0 no problems, 1 problems found, 2 the journal cannot be checked, 130 interrupted.
    """
    from trio_chat.journal.admin.check import FINDINGS_MAX, check

    with _report_errors(), bar("checking") as progress:
        path = _path(name)
        checked = check(path, quick=quick, progress=progress)
    with suppress(OutputClosed):  # the exit status counts even if nothing reads the output
        for finding in checked.findings:
            click.echo(printable(finding))
    checked_part = f"{_count(checked.rooms, 'room')} and {_count(checked.entries, 'entry')}"
    if checked.findings:
        count = len(checked.findings)
        problems = f"{count} or more problems" if count == FINDINGS_MAX else _count(count, "problem")
        damaged = f"{printable(str(path))} is damaged: {problems} in {checked_part}"
        click.secho(f"trio-chat: {damaged}", fg="red", err=True)
        sys.exit(1)
    with suppress(OutputClosed):
        click.echo(f"{printable(str(path))}: {checked_part}, nothing wrong")


@journal.command()
@_journal_option
@click.option(
    "--before", metavar="TIME", help="Remove older entries: an age (90d, 12h) or a date (2026-01-31)."
)
@click.option("--keep-entries", type=click.IntRange(min=1), help="Keep only this many entries per room.")
@click.option(
    "--room",
    "rooms",
    multiple=True,
    metavar="NAME",
    help="Prune only this room; may be repeated. Without a bound the whole room is removed.",
)
@click.option("--vacuum", is_flag=True, help="Rewrite the file afterwards, which makes it smaller.")
@click.option("--dry-run", is_flag=True, help="Only print what would be removed; a server may be running.")
def prune(
    name: str | None,
    before: str | None,
    keep_entries: int | None,
    rooms: tuple[str, ...],
    vacuum: bool,
    dry_run: bool,
) -> None:
    """Remove old entries, or whole rooms; stop the server first.

    Clients that resume before the removed entries are told of a gap. To prune while the server runs, use
    `trio-chat serve --keep`.

    --room NAME without --before and --keep-entries removes the whole room: its entries, topic and refs. The
    next message in it starts a new room with a new history.

    Exit status: 0 done, 2 nothing was removed, 130 interrupted.
    """
    from trio_chat.journal.admin.prune import PruneRule, prune
    from trio_chat.journal.admin.remove import remove_rooms

    is_whole = before is None and keep_entries is None
    if is_whole and not rooms:
        raise click.UsageError(
            "missing option: give --before TIME, --keep-entries N, or both;"
            " or --room NAME to remove a whole room"
        )
    with _report_errors(), bar("removing" if is_whole else "pruning") as progress:
        keys = _keys(rooms)
        old = PruneRule(keys, _parse_time(before) if before else 0, keep_entries or 0)
        path = _path(name)
        if is_whole:
            pruned = remove_rooms(path, keys, dry_run=dry_run, vacuum=vacuum, progress=progress)
        else:
            pruned = prune(path, old, dry_run=dry_run, vacuum=vacuum, progress=progress)
    for room in pruned.rooms:
        numbers = f"{room.first} to {room.last}" if room.first <= room.last else "no entries"
        click.echo(f"{room.room}: {numbers}{', and the room itself' if is_whole else ''}")
    pruned_part = _count(sum(room.last + 1 - room.first for room in pruned.rooms), "entry")
    if is_whole:
        pruned_part = f"{_count(len(pruned.rooms), 'room')} and {pruned_part}"
    done = "removed" if is_whole else "pruned"
    size = f"; file size {pruned.bytes_after:,} bytes (was {pruned.bytes_before:,} bytes)"
    shrunk = size if pruned.vacuumed else ""
    click.echo(f"{pruned_part} {f'would be {done}' if dry_run else done}{shrunk}")
    if vacuum and not dry_run and not pruned.vacuumed:
        click.secho("trio-chat: interrupted; the file was not made smaller", fg="red", err=True)
        sys.exit(INTERRUPTED)


@journal.command()
@_journal_option
@click.option("--room", "rooms", multiple=True, required=True, help="Correct this room; may be repeated.")
@click.option("--dry-run", is_flag=True, help="Only print what would change; a server may be running.")
def retime(name: str | None, rooms: tuple[str, ...], dry_run: bool) -> None:
    """Move entries with future times back to now; stop the server first.

    A wrong clock causes such entries, and later entries get the same time. Their order is kept. The room gets
    a new epoch, so clients reload it.

    Exit status: 0 done, 2 nothing was changed, 130 interrupted.
    """
    from datetime import timedelta

    from trio_chat.journal.admin.retime import retime
    from trio_chat.journal.dates import date_text
    from trio_chat.server.clock import EARLIEST_MS, wall_clock_ms

    with _report_errors(), bar("correcting") as progress:
        now_ms = wall_clock_ms()
        if now_ms < EARLIEST_MS:
            raise JournalToolError(
                f"cannot correct times: the system clock shows {date_text(now_ms)}; set it first"
            )
        retimed = retime(_path(name), _keys(rooms), now_ms, dry_run=dry_run, progress=progress)
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
def _report_errors() -> Iterator[None]:
    """Print an error, or an interrupt, in one line. Every command does all of its work or none."""
    with errors_in_one_line():
        try:
            yield
        except KeyboardInterrupt:
            click.secho("\ntrio-chat: interrupted, and nothing was changed", fg="red", err=True)
            sys.exit(INTERRUPTED)


def _path(name: str | None) -> Path:
    """Return the path of the file: the given name, or the default of `serve`."""
    if not name:
        from trio_chat.server.process import default_journal

        name = default_journal()
    if name in ("memory", ":memory:"):
        raise JournalToolError("a journal in memory has no file; name a file with --journal PATH")
    return Path(name)


def _keys(rooms: tuple[str, ...]) -> list[str]:
    """Return the keys of rooms, given as users write them, with or without a leading `#`."""
    from trio_chat.hub.names import prepare_room

    try:
        return [prepare_room(room.removeprefix("#")).key for room in rooms]
    except Refused as refused:
        raise JournalToolError(refused.detail) from None


def _parse_time(text: str) -> int:
    from trio_chat.journal.admin.durations import parse_time

    return parse_time(text, int(time.time() * 1_000))


def _count(number: int, what: str) -> str:
    many = f"{what[:-1]}ies" if what.endswith("y") else f"{what}s"
    return f"{number:,} {what if number == 1 else many}"
