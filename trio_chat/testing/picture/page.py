"""The page around the drawing: the result of the run, its faults and a legend, in one self-contained file."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from importlib.resources import files
from string import Template

from trio_chat.testing.chat.faulty_store import FaultyDisk
from trio_chat.testing.chat.record import Recording
from trio_chat.testing.chat.serialize import as_lines
from trio_chat.testing.picture.drawing import bands, heads
from trio_chat.testing.picture.events import RunPicture, scene_of
from trio_chat.testing.picture.layout import Layout

__all__ = ["page"]

BREACHES_SHOWN = 10
_SORTS = {
    "talk": "said",
    "presence": "comes, goes, presence",
    "answer": "answers",
    "alive": "ping, pong",
    "trouble": "errors, goodbyes, gaps",
    "unknown": "never decoded",
}
_MARKER = (
    '<marker id="end-{sort}" class="{sort}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7"'
    ' markerHeight="7" markerUnits="userSpaceOnUse" orient="auto"><path d="M0,1L8,4L0,7z"/></marker>'
)


def page(recording: Recording) -> str:
    """Return a run as HTML."""
    scene = scene_of(recording)
    layout = Layout(scene)
    rows = "\n".join(f"<tr><td>{band}</td></tr>" for band in bands(scene, layout, recording.plan))
    return Template(_file("page.html")).substitute(
        title=f"A chat from seed {recording.plan.seed}",
        style=_file("page.css"),
        script=_file("page.js"),
        markers="".join(_MARKER.format(sort=sort) for sort in _SORTS),
        verdict=_verdict(recording, scene),
        facts="".join(
            f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>" for name, value in _facts(recording, scene)
        ),
        faults=_faults(scene),
        legend="".join(_legend()),
        heads=heads(scene, layout),
        bands=rows,
        plan=escape(as_lines(recording.plan)),
    )


def _file(name: str) -> str:
    return (files(__package__) / name).read_text(encoding="utf-8")


def _verdict(recording: Recording, scene: RunPicture) -> str:
    failure = recording.failure
    if failure is None:
        return '<div class="verdict"><p><strong>Every promise was kept.</strong></p></div>'
    words = [point.words for point in scene.points if point.what == "breach"]
    shown = "".join(f"<p>{escape(each)}</p>" for each in words[:BREACHES_SHOWN])
    more = f"<p>and {len(words) - BREACHES_SHOWN} more</p>" if words[BREACHES_SHOWN:] else ""
    return f'<div class="verdict broken"><p><strong>{escape(failure.alike)}</strong></p>{shown}{more}</div>'


def _facts(recording: Recording, scene: RunPicture) -> Iterator[tuple[str, str]]:
    plan, story = recording.plan, recording.story
    yield "users", str(len(plan.users))
    yield "rooms", ", ".join(plan.rooms)
    yield "steps", str(len(plan.steps))
    if story is not None:
        yield "deliveries", f"{story.deliveries:,}"
        yield "left out by gaps", str(story.gaps)
    if plan.faults:
        yield (
            "faults that struck",
            f"{sum(fault.strikes is not None for fault in scene.faults)} of {len(plan.faults)}",
        )
    yield "virtual seconds", f"{recording.seconds:.3f}"
    if plan.limits:
        yield "limits", ", ".join(f"{name}={value}" for name, value in plan.limits.items())
    if plan.buffer_bytes != 65_536:
        yield "pipes hold", f"{plan.buffer_bytes} bytes"
    if plan.disk != FaultyDisk():
        yield (
            "disk",
            f"commits {plan.disk.commit_s} s, reads {plan.disk.read_s} s, {plan.disk.fails:.0%} fail",
        )
    yield "trace", recording.trace_hash


def _faults(scene: RunPicture) -> str:
    if not scene.faults:
        return ""
    rows = []
    for number, fault in enumerate(scene.faults, 1):
        until = f"{fault.ends.time:.3f}" if fault.ends else "the end"
        struck = (
            f"struck at {fault.strikes.time:.3f}"
            if fault.strikes
            else '<span class="never">never struck</span>'
        )
        rows.append(
            f"<tr><td>F{number}</td><td>{escape(fault.words)}</td>"
            f"<td>{fault.begins.time:.3f} to {until}</td><td>{struck}</td></tr>"
        )
    return f'<table class="faults">{"".join(rows)}</table>'


def _legend() -> Iterator[str]:
    for sort, words in _SORTS.items():
        yield _key(f'<g class="m {sort}"><path d="M1,7L26,7"/></g>', words)
    yield _key(
        '<g class="m talk unread"><path d="M1,7L20,7"/><path class="gone" d="M18,4l6,6M18,10l6,-6"/></g>',
        "never read",
    )
    yield _key('<line class="connected" x1="14" x2="14" y1="0" y2="14"/>', "connected")
    yield _key('<rect class="doze" x="7" y="0" width="14" height="14" rx="7"/>', "reads nothing, as planned")
    yield _key('<rect class="fault" x="1" y="1" width="26" height="12" rx="4"/>', "a fault")
    yield _key(
        '<rect class="fault struck" x="1" y="1" width="26" height="12" rx="4"/>'
        '<path class="bolt" d="M16,0l-6,8h4l-2,6l7,-9h-4l3,-5z"/>',
        "… that struck",
    )
    yield _key('<path class="broken" d="M9,2l10,10M9,12l10,-10"/>', "reset, cut, refused")
    yield _key('<circle class="ring" cx="14" cy="7" r="6"/>', "a promise broken")
    yield _key(
        '<g class="m talk"><path class="halo" d="M1,7L26,7"/><path d="M1,7L26,7"/></g>',
        "… and the entry it is about",
    )
    yield "<li>Down is later; gaps are idle time, shortened. Click a name to see it alone.</li>"


def _key(drawing: str, words: str) -> str:
    return f'<li><svg width="28" height="14" viewBox="0 0 28 14">{drawing}</svg>{words}</li>'
