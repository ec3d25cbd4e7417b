"""A run as a page: nothing noted is missing, effects stand below their causes, no other file is needed."""

import re
from collections import Counter
from functools import partial
from html.parser import HTMLParser
from importlib.resources import files
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from msgspec.structs import replace

from tests.testing.plans import a_chat
from tests.testing.planted import skip_entries
from trio_chat.dialects.frames import FrameEvents
from trio_chat.testing import Fault, Latency, Rst, simulate
from trio_chat.testing.chat import Doze, Enter, Failure, Plan, Recording, Talk, play, record
from trio_chat.testing.picture import page
from trio_chat.testing.picture.events import RunPicture, scene_of
from trio_chat.testing.picture.frames import Stream
from trio_chat.testing.picture.layout import Layout
from trio_chat.testing.picture.words import words_of_rows
from trio_chat.testing.trace import Note
from trio_chat.wire.framing import pack
from trio_chat.wire.messages import Command, Join, Ping, Say

CROWD = a_chat(5, 20, 300, 6)
PLANS = [
    a_chat(1, 2, 12),
    a_chat(2, 5, 60, 8, rooms=2, buffer_bytes=700),
    replace(a_chat(3, 3, 40), crash_s=5.0),
    CROWD,
]
ADA = "ada→server#1"


def noted(
    *notes: tuple[float, object], plan: Plan | None = None, failure: Failure | None = None
) -> Recording:
    """A recording of these notes alone."""
    plan = plan or Plan(seed=1, users=("ada", "bob"), rooms=("den",), steps=())
    taken = tuple(Note(time, what if isinstance(what, tuple) else (what,)) for time, what in notes)
    return Recording(plan, taken, {}, "", taken[-1].time, None, failure)


# --- the recording ----------------------------------------------------------------------------------


@pytest.mark.parametrize("plan", PLANS)
def test_looking_on_changes_nothing(plan: Plan) -> None:
    assert record(plan).trace_hash == simulate(plan.seed, partial(play, plan=plan)).trace_hash


@pytest.mark.parametrize("plan", PLANS)
def test_every_byte_at_the_servers_end_is_there(plan: Plan) -> None:
    recording = record(plan)
    counted: Counter[tuple[str, str]] = Counter()
    for note in recording.notes:
        if note.what[0] == "sent" and note.what[2] == "server":
            counted[note.what[1], "server"] += note.what[3]
        elif note.what[0] == "delivered" and note.what[2] == "server":
            counted[note.what[1], note.what[1].partition("→")[0]] += note.what[3]
    assert {key: len(data) for key, data in recording.streams.items() if data} == counted


def test_all_notes_are_kept_also_of_a_run_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    skip_entries(monkeypatch)
    recording = record(failing_plan())
    assert recording.story is None
    assert recording.failure is not None
    assert recording.failure.alike == "PromiseBroken: lost"
    assert {"dial", "breach"} <= {note.what[0] for note in recording.notes}
    assert recording == record(failing_plan())


def failing_plan() -> Plan:
    """What `skip_entries` loses: cy sleeps, and its pipe fills."""
    steps = [Enter(0.1, user, "den") for user in ("ada", "bob", "cy")]
    talks = [Talk(1.0 + nth / 10, "ada", "den", 1, 300) for nth in range(10)]
    return Plan(
        seed=1,
        users=("ada", "bob", "cy"),
        rooms=("den",),
        steps=(*steps, Doze(0.5, "cy", 3.0), *talks),
        buffer_bytes=700,
    )


# --- what bytes say ---------------------------------------------------------------------------------


def stream(*commands: Command) -> tuple[bytes, list[int]]:
    packed = [FrameEvents.pack(command) for command in commands]
    ends = [sum(map(len, packed[: nth + 1])) for nth in range(len(packed))]
    return b"".join(packed), ends


def test_any_piece_is_named() -> None:
    data, (one, two, three, four) = stream(Join("den"), Say("den", "hello …"), Say("den", "x"), Ping())
    said = Stream(data, is_servers=False)
    assert said.words(0, four) == "join den, say den “hello …” and 1 more, ping"
    assert said.words(0, one) == "join den"
    assert said.words(one, two) == "say den “hello …”"
    assert said.words(one - 1, two - 1) == "… join den, say den “hello …” …"
    assert said.words(three, four) == "ping"
    assert said.words(four, four + 7) == "7 bytes"
    assert [frame.light for frame in said.frames] == [False, False, False, True]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (pack((b"{}",)), "no message"),
        (b"\0\0\0\0...", "invalid frame: length 0"),
        (FrameEvents.pack(Ping())[:-2], "a part of a frame …"),
    ],
)
def test_what_is_no_message_is_named_too(data: bytes, words: str) -> None:
    assert Stream(data, is_servers=False).words(0, len(data)) == words


# --- events -----------------------------------------------------------------------------------------


def test_a_message_has_arrived_when_its_last_byte_was_read() -> None:
    scene = scene_of(
        noted(
            (0, ("dial", ADA)),
            (0, ("accept", ADA)),
            (1, ("sent", ADA, "ada", 10)),
            (2, ("sent", ADA, "ada", 5)),
            (3, ("delivered", ADA, "server", 9)),
            (4, ("delivered", ADA, "server", 1)),
            (5, ("sent", ADA, "server", 7)),
        )
    )
    first, second, answer = scene.messages
    assert (first.start, first.end, first.sent.time) == (0, 10, 1)
    assert first.read is not None
    assert first.read.time == 4
    assert first.read.after == [first.sent]
    assert (second.start, second.end, second.read) == (10, 15, None)
    assert (answer.source, answer.target) == ("server", "ada")


def test_a_piece_after_the_other_is_one_unless_something_came_between() -> None:
    ada, bob = ("sent", ADA, "ada", 1), ("delivered", ADA, "ada", 1)
    scene = scene_of(noted((0, ("dial", ADA)), (0, ada), (0, ada), (0, bob), (0, ada), (1, ada)))
    assert [message.end - message.start for message in scene.messages] == [2, 1, 1]


def test_what_is_read_in_one_go_is_not_before_it_was_sent() -> None:
    """A reader who reads, and reads on what was sent meanwhile."""
    read, sent = ("delivered", ADA, "server", 1), ("sent", ADA, "ada", 1)
    scene = scene_of(noted((0, ("dial", ADA)), (0, sent), (0, read), (0, sent), (0, read)))
    first, *_, last = scene.messages
    layout = Layout(scene)
    for message in (first, last):
        assert message.read is not None
        assert layout.row(message.read) > layout.row(message.sent)


def test_faults_breaches_and_a_crash_are_told() -> None:
    rule = ("", "Rst()", "ada", "server", 0)
    scene = scene_of(
        noted(
            (1, ("fault begins", *rule)),
            (1, ("fault begins", *rule)),
            (2, ("fault strikes", *rule)),
            (2.5, ("fault strikes", *rule)),
            (3, ("fault ends", *rule)),
            (4, ("crash",)),
            (5, ("breach", "", "lost", "den", "bob", "bob missed den 7, 9–11 between joining")),
            (5, ("breach", "", "ended", "", "ada", "ada was sent away 3")),
        )
    )
    first, second = scene.faults
    assert first.strikes is not None
    assert first.ends is not None
    assert (first.begins.time, first.strikes.time, first.ends.time) == (1, 2, 3)
    assert second.strikes is not None
    assert (second.strikes.time, second.ends) == (2.5, None)
    assert scene.guilty == {("den", 7), ("den", 9), ("den", 10), ("den", 11)}
    assert [(point.host, point.words) for point in scene.points[-2:]] == [
        ("bob", "lost: bob missed den 7, 9–11 between joining"),
        ("ada", "ended: ada was sent away 3"),
    ]


def test_breaches_beyond_count_are_bounded() -> None:
    breach = ("breach", "", "lost", "den", "bob", "bob missed den 7")
    scene = scene_of(noted(*[(1.0, breach)] * 900))
    assert len(scene.points) == 41
    assert scene.points[-1].words == "… and more of them"


def test_what_was_no_broken_promise_is_told_too() -> None:
    scene = scene_of(noted((1, ("crash",)), failure=Failure("KeyError", "'x'")))
    assert scene.points[-1].words == "'x'"


# --- layout -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("plan", PLANS)
def test_down_is_later(plan: Plan) -> None:
    scene = scene_of(record(plan))
    layout = Layout(scene)
    times: dict[int, float] = {}
    lanes: dict[str, int] = {}
    ends: dict[tuple[str, str], int] = {}
    for point in scene.points:
        row = layout.row(point)
        assert times.setdefault(row, point.time) == point.time, "one row, two times"
        assert all(layout.row(cause) < row for cause in point.after)
        if not point.light:
            assert lanes.get(point.host, -1) <= row, "two things of one host have changed places"
            lanes[point.host] = row
        if point.connection:
            assert ends.get((point.host, point.connection), -1) < row
            ends[point.host, point.connection] = row
    assert sorted(times) == list(range(layout.rows))
    tops = [layout.row_y(row) for row in range(layout.rows)]
    assert tops == sorted(tops)
    assert [times[row] for row in range(layout.rows)] == sorted(times.values())


def test_idle_time_is_shortened() -> None:
    def height(*times: float) -> float:
        return Layout(scene_of(noted(*[(time, ("crash",)) for time in times]))).height

    assert height(0, 1) < height(0, 5) < height(0, 100) < height(0, 1) + 20
    assert height(0, 1_000_000) < height(0, 1) + 60


def test_the_server_is_in_the_middle_and_strangers_are_right() -> None:
    plan = Plan(seed=1, users=("a", "b", "c", "d"), rooms=(), steps=())
    scene = scene_of(noted((0, ("dial", "x→server#1")), plan=plan))
    assert scene.lanes == ["a", "b", "c", "server", "d", "x"]


def test_a_crowd_is_not_too_much() -> None:
    scene = scene_of(record(CROWD))
    layout = Layout(scene)
    assert len(scene.lanes) >= 21
    assert layout.width < 1_700
    assert layout.height < 20_000
    assert len(page(record(CROWD))) < 2_000_000


@pytest.mark.parametrize("plan", PLANS)
def test_words_have_room(plan: Plan) -> None:
    scene = scene_of(record(plan))
    layout = Layout(scene)
    tops = [layout.row_y(row) for row in sorted(words_of_rows(scene, layout))]
    assert all(later - sooner >= 14.9 for sooner, later in pairwise(tops))


def test_who_did_the_same_is_named_together() -> None:
    names = [f"u{number}" for number in range(9)]
    plan = Plan(seed=1, users=tuple(names), rooms=(), steps=())
    scene = scene_of(noted(*[(0.0, ("dial", f"{name}→server#1")) for name in names], plan=plan))
    assert words_of_rows(scene, Layout(scene)) == {0: "u0, u1, u2 and 6 more: dial"}


# --- the page ---------------------------------------------------------------------------------------


class Balance(HTMLParser):
    """Sees that what is opened is closed."""

    VOID = ("meta", "!doctype")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert not {"src", "href"} & {name for name, _ in attrs}, "it needs another file"
        assert tag not in ("link", "iframe", "img", "object")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def check(html: str, scene: RunPicture) -> None:
    balance = Balance()
    balance.feed(html)
    balance.close()
    assert balance.open == []
    assert not re.search(r"https?:|@import|url\((?!#)", html)
    bands = [
        ElementTree.fromstring(svg) for svg in re.findall(r'<svg class="band".*?</svg>', html, re.DOTALL)
    ]
    edges = [tuple(map(float, band.attrib["viewBox"].split())) for band in bands]
    layout = Layout(scene)
    reached = 0.0
    for (_, top, width, height), band in zip(edges, bands, strict=True):
        assert top == pytest.approx(reached, abs=0.2)
        assert width == round(layout.width)
        assert float(band.attrib["height"]) == height <= 3_000
        reached = top + height
    assert reached == pytest.approx(layout.height, abs=1)
    drawn = Counter(title.text for band in bands for title in band.iterfind("g/title"))
    assert sum(drawn.values()) >= len(scene.messages)
    for number in range(1, len(scene.faults) + 1):
        assert any(text.text == f"F{number}" for band in bands for text in band.iterfind("text"))


@pytest.mark.parametrize("plan", PLANS)
def test_a_page_stands_by_itself_and_lacks_nothing(plan: Plan) -> None:
    recording = record(plan)
    html = page(recording)
    check(html, scene_of(recording))
    assert "Every promise was kept." in html
    assert recording.trace_hash in html
    assert html == page(record(plan))


def test_a_broken_promise_is_highlighted(monkeypatch: pytest.MonkeyPatch) -> None:
    skip_entries(monkeypatch)
    recording = record(failing_plan())
    html = page(recording)
    check(html, scene_of(recording))
    assert recording.failure is not None
    assert "PromiseBroken: lost" in html
    assert html.count("cy missed den") == 2, "in the verdict and in the drawing"
    bands = "".join(re.findall(r'<svg class="band".*?</svg>', html, re.DOTALL))
    assert 'class="ring"' in bands
    assert 'class="halo"' in bands


def test_names_and_words_are_no_markup() -> None:
    evil = "<script>\"&'"
    plan = Plan(
        seed=1,
        users=(evil,),
        rooms=("den",),
        steps=(Doze(0.0, evil, 1.0),),
        faults=(Fault(Rst(), evil, "server"), Fault(Latency(1.0), "*", "server")),
    )
    name = f"{evil}→server#1"
    recording = noted(
        (0, ("dial", name)),
        (0, ("accept", name)),
        (0, ("sent", name, evil, 3)),
        (0, ("refused", "", evil, "server", evil)),
        (1, ("fault begins", "", "Rst()", evil, "server", 0)),
        (1, ("fault begins", "", "Latency()", "*", "server", 0)),
        (1, ("breach", "", "lost", evil, evil, evil)),
        plan=plan,
        failure=Failure("PromiseBroken: lost", evil),
    )
    html = page(recording)
    check(html, scene_of(recording))
    assert html.count("<script>") == 1


def test_the_files_of_the_page_are_part_of_the_package() -> None:
    for name in ("page.html", "page.css", "page.js"):
        assert (files("trio_chat.testing.picture") / name).is_file()
