"""The figures as docs/benchmarks.md: tables, what is wanted beside each, and how to read them.

The page is made anew by every full run, but for what stands between the two markers: that part is
written by hand, and kept.
"""

from __future__ import annotations

from statistics import median

from tests.bench import words
from tests.bench.journal_tables import journal_section
from tests.bench.plan import Figure
from tests.bench.results import Results, middle, number, values
from tests.bench.simulated import FAULTS_STRUCK, MESSAGES, USERS
from tests.bench.tables import amount, table
from tests.bench.wanted import IDLE_KIB, JUDGE, RECOVERED, ROOM, SIMULATED, STALLED, VERIFIED, YARDSTICK

__all__ = ["render", "splice"]

YARDSTICK_ROWS = (
    ("CPU a delivery, burst, µs", "burst_cpu_us", "burst_cpu_ratio", "`shared`"),
    ("CPU a delivery, many, µs", "many_cpu_us", "many_cpu_ratio", "`shared`"),
    ("CPU a delivery, low, µs", "low_cpu_us", "low_cpu_ratio", "`direct`"),
    ("latency p50, paced, ms", "paced_p50_ms", "paced_p50_ratio", "`direct`"),
    ("latency p99, paced, ms", "paced_p99_ms", "paced_p99_ratio", "`direct`"),
    ("deliveries a second, burst", "burst_per_s", "burst_rate_ratio", "`shared`"),
    ("connects a second", "connect_per_s", "connect_ratio", "`direct`"),
)


def render(results: Results) -> str:
    """The page, without the part that is written by hand; scenarios that were not run are left out."""
    sections = [words.INTRODUCTION, _machine(results), words.HOW, words.READING, _yardstick(results)]
    for name, section in (
        ("rows", _rows),
        ("memory", _memory),
        ("connects", _connects),
        ("rooms", _rooms),
        ("stalled", _stalled),
        ("everybody", _everybody),
        ("loadtool", _loadtool),
        ("journal", journal_section),
        ("sim", _sim),
    ):
        if figures := results.figures.get(name):
            sections.append(section(figures))
    return "\n".join(sections)


def splice(page: str, old: str) -> str:
    """The new page with, at its end, the old one's part that is written by hand."""
    begin, end = old.find(words.BEGIN), old.find(words.END)
    by_hand = old[begin : end + len(words.END)] if 0 <= begin < end else words.BY_HAND
    return f"{page}\n{by_hand}\n"


def _machine(results: Results) -> str:
    rows = [[name, value] for name, value in results.machine.items()]
    rows.append(["work on it when the run began", f"{results.load:.1f} (load average)"])
    rows.append(["taken by other virtual machines", f"{results.steal:.1%} of the cores' time"])
    rows.append(["the run took", f"{results.minutes:.1f} minutes"])
    alone = "" if results.pinned else "\n**Server and driver share the only core: nothing below is sound.**\n"
    return f"## The machine\n\n{table(['', ''], rows)}{alone}"


def _yardstick(results: Results) -> str:
    figures = results.figures.get("yardstick")
    if not figures:
        title = words.YARDSTICK.partition("\n")[0]
        return f"{title}\n\nLeft out in this run: {results.why_no_yardstick}.\n"
    rows = []
    for what, key, ratio_key, to in YARDSTICK_ROWS:
        for each in figures:
            ratio = number(each, ratio_key)
            wanted = YARDSTICK.get(ratio_key)
            cells = wanted[number(each, "n") > 100].row(ratio) if wanted else ["", "", ""]
            ours = amount(number(each, key))
            rows.append([what, f"{each['n']:,}", ours, f"{amount(ratio)} × {to}", *cells])
    for each in figures:
        kib = number(each, "rss_kib_per_connection")
        cells = IDLE_KIB.row(kib) if number(each, "n") > 100 else ["", "", ""]
        rows.append(["memory a connection, KiB", f"{each['n']:,}", amount(kib), "", *cells])
    head = ["figure", "members", "ours", "ratio", "must", "aim", "met"]
    return f"{words.YARDSTICK}{table(head, rows)}"


def _rows(figures: list[Figure]) -> str:
    return f"{words.ROWS}{_cpu_table(figures)}{_latency_table(figures)}"


def _cpu_table(figures: list[Figure]) -> str:
    rows = []
    for row in dict.fromkeys(str(each["row"]) for each in figures):
        to = "shared" if row in ("burst", "many") else "direct"
        for members in _sizes(figures, row=row):
            cpu = _by_server(figures, "cpu_us", row, members)
            mine: dict[str, float | str] = {"row": row, "members": members, "server": "ours"}
            busy = [middle(figures, f"{who}_busy", **mine) for who in ("server", "driver")]
            rows.append(
                [
                    row,
                    f"{members:,.0f}",
                    amount(cpu["ours"]),
                    _spread(values(figures, "cpu_us", **mine)),
                    amount(cpu["direct"]),
                    amount(cpu["shared"]),
                    f"{amount(cpu['ours'] / cpu[to])} × `{to}`",
                    f"{middle(figures, 'per_s', **mine):,.0f}",
                    " + ".join(f"{share:.0%}" for share in busy),
                ]
            )
    head = ["CPU a delivery, µs", "members", "ours", "from–to", "`direct`", "`shared`", "ratio"]
    return table([*head, "deliveries a second", "busy"], rows)


def _latency_table(figures: list[Figure]) -> str:
    rows = []
    for members in _sizes(figures, row="paced"):
        for key, what in (("p50_ms", "p50"), ("p99_ms", "p99")):
            ms = _by_server(figures, key, "paced", members)
            cells = [amount(value) for value in ms.values()]
            rows.append([what, f"{members:,.0f}", *cells, f"{amount(ms['ours'] / ms['direct'])} × `direct`"])
    if not rows:
        return ""
    return "\n" + table(["latency, paced, ms", "members", "ours", "`direct`", "`shared`", "ratio"], rows)


def _by_server(figures: list[Figure], key: str, row: str, members: float) -> dict[str, float]:
    servers = ("ours", "direct", "shared")
    return {name: middle(figures, key, row=row, members=members, server=name) for name in servers}


def _sizes(figures: list[Figure], **where: float | str) -> list[float]:
    return list(dict.fromkeys(values(figures, "members", **where)))


def _spread(found: list[float]) -> str:
    return f"{amount(min(found))}–{amount(max(found))}"


def _memory(figures: list[Figure]) -> str:
    rows = []
    for each in figures:
        kib = number(each, "kib_a_connection")
        server_mib = amount(number(each, "rss_kib") / 1024)
        rows.append([f"{each['members']:,}", server_mib, amount(kib), *IDLE_KIB.row(kib)])
    head = ["idle members of one room", "the server, MiB", "each, KiB", "must", "aim", "met"]
    return f"## Memory\n\n{table(head, rows)}"


def _connects(figures: list[Figure]) -> str:
    rows = []
    for name in ("ours", "direct"):
        found = values(figures, "per_s", server=name)
        cpu_us = middle(figures, "cpu_us", server=name)
        rows.append([name, amount(middle(figures, "per_s", server=name)), _spread(found), amount(cpu_us)])
    text = words.CONNECTS.format(members=f"{figures[0]['members']:,}", at_once=figures[0]["at_once"])
    return text + table(["", "connects a second", "from–to", "CPU of each, µs"], rows)


def _rooms(figures: list[Figure]) -> str:
    ours = [each for each in figures if each["server"] == "ours"]
    sizes = _sizes(ours)
    rows = []
    for window in dict.fromkeys(values(ours, "window")):
        cost = {size: middle(ours, "cpu_us", window=window, members=size) for size in sizes}
        for members in sizes:
            ratio = cost[members] / cost[sizes[0]]
            message_ms = middle(ours, "message_ms", window=window, members=members)
            must, _, met = ROOM.row(ratio)
            cells = [amount(cost[members]), f"{ratio:.2f}", must, met, amount(message_ms)]
            rows.append(["ours", f"{window:.0f}", f"{members:,.0f}", *cells])
    plain = {number(each, "members"): each for each in figures if each["server"] == "direct"}
    for members, each in plain.items():
        cpu_us = number(each, "cpu_us")
        ratio = cpu_us / number(plain[sizes[0]], "cpu_us")
        cells = [amount(cpu_us), f"{ratio:.2f}", "", "", amount(number(each, "message_ms"))]
        rows.append(["`direct`", "1", f"{members:,.0f}", *cells])
    head = ["", "in flight", "members", "CPU a delivery, µs", f"to that of {sizes[0]:,.0f}", "must", "met"]
    cut = [each for each in figures if each["members"] != each["wanted"]]
    note = ""
    if cut:
        note = f"More than {cut[0]['members']:,} the limit of open files (`ulimit -n`) does not allow here.\n"
    came = [f"{size:,.0f} after {amount(middle(ours, 'came_s', members=size))} s" for size in sizes]
    text = words.ROOMS.format(came=", ".join(came), note=note)
    return text + table([*head, "a message to all, ms"], rows)


def _stalled(figures: list[Figure]) -> str:
    rows = []
    for stalled, what in ((0, "everybody reads"), (1, "one session stalls")):
        p50, p99 = (middle(figures, key, stalled=stalled) for key in ("p50_ms", "p99_ms"))
        rows.append([what, amount(p50), _spread(values(figures, "p50_ms", stalled=stalled)), amount(p99)])
    held, behind = (middle(figures, key, stalled=1) / 1024 for key in ("kernel_bytes", "behind_bytes"))
    text = words.STALLED.format(
        members=f"{figures[0]['members']:,}", held=f"{held:,.0f}", behind=f"{behind:,.0f}"
    )
    pairs = {number(each, "pair") for each in figures}
    change = 100 * (median(_pair_ratio(figures, pair) for pair in pairs) - 1)
    must, _, met = STALLED.row(change)
    if behind <= 0:
        text += "**The kernel took all of it: the session was not behind.**\n\n"
    verdict = f"\nMedian of the changes from turn to turn: {change:+.0f} % (must: {must} %, met: {met}).\n"
    return text + table(["others' latency, ms", "p50", "from–to", "p99"], rows) + verdict


def _pair_ratio(figures: list[Figure], pair: float) -> float:
    """What happened right after each other is compared: whatever else the machine did, it did to both."""
    with_one, without = (middle(figures, "p50_ms", pair=pair, stalled=stalled) for stalled in (1, 0))
    return with_one / without


def _everybody(figures: list[Figure]) -> str:
    (each,) = figures
    missed, held = (number(each, key) / 1024 for key in ("missed_bytes", "kernel_bytes"))
    recovered = number(each, "recovered_s")
    must, _, met = RECOVERED.row(recovered)
    rows = [
        [what, amount(number(each, f"rss_{when}_kib") / 1024)]
        for when, what in (
            ("before", "the server's memory before, MiB"),
            ("most", "… at most, until all had caught up"),
            ("after", "… after"),
        )
    ]
    rows += [
        ["said meanwhile, KiB", f"{missed:,.0f}"],
        ["… of which the kernel holds for each member", f"{held:,.0f}"],
        ["all have read what the kernel held after, s", amount(number(each, "drained_s"))],
        [f"all have caught up after, s (must: {must}, met: {met})", amount(recovered)],
    ]
    text = words.EVERYBODY.format(
        members=f"{each['members']:,}",
        per_s=f"{each['messages_per_s']:,.0f}",
        stall_s=f"{each['stall_s']:g}",
    )
    doubt = "" if number(each, "behind") else "\n**The kernel took all of it: no session was behind.**\n"
    return text + table(["", ""], rows) + doubt


def _loadtool(figures: list[Figure]) -> str:
    (each,) = figures
    verified, share = number(each, "verified_per_s"), number(each, "judge_share") * 100
    cpu_us, fanout_us = number(each, "cpu_us"), number(each, "fanout_cpu_us")
    most, _, verifies = VERIFIED.row(verified)
    part, _, cheap = JUDGE.row(share)
    rows = [
        [f"verified a second (must: {most}, met: {verifies})", f"{verified:,.0f}"],
        ["CPU a delivery, µs", amount(cpu_us)],
        ["so a core verifies a second", f"{1e6 / cpu_us:,.0f}"],
        [f"the judge's part of the tool's CPU, % (must: {part}, met: {cheap})", amount(share)],
        ["latency p99, ms", amount(number(each, "p99_ms"))],
    ]
    if fanout_us:
        rows.append(["CPU a delivery of `fanout.c`, µs", amount(fanout_us)])
        rows.append(["ours to that", amount(cpu_us / fanout_us)])
    doubt = ""
    if number(each, "disturbed"):
        doubt = f"\n**{number(each, 'disturbed'):.0%} of the runs were disturbed by others' work.**\n"
    text = words.LOADTOOL.format(users=each["users"], paced=f"{each['paced_per_s']:,.0f}")
    return text + table(["", ""], rows) + doubt


def _sim(figures: list[Figure]) -> str:
    ms = middle(figures, "ms")
    most, aim, met = SIMULATED.row(ms)
    slowest = max(values(figures, "ms"))
    rows = [
        [f"a run, ms (must: {most}, aim: {aim}, met: {met})", amount(ms)],
        ["… the slowest of the seeds", amount(slowest)],
        ["for each delivery that was judged, µs", amount(middle(figures, "us"))],
        ["deliveries in a run", f"{middle(figures, 'deliveries'):,.0f}"],
        ["faults that struck", f"{middle(figures, 'struck'):.0f}"],
    ]
    text = words.SIMULATED.format(users=USERS, messages=MESSAGES, struck=FAULTS_STRUCK, seeds=len(figures))
    return text + table(["", ""], rows)
