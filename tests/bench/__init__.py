"""The benchmark: `nox -s bench` runs it, docs/benchmarks.md shows what came out.

    transcript.py  what everybody must have received, and whether they did      (pure)
    dialect.py     the bytes of a handshake and of a message                     (pure)
    crowd.py       the connections: many sockets, one epoll
    talk.py        messages through a crowd: closed loop, open loop, who has what
    process.py     a server as a process of its own: its core, its CPU, its memory
    reference.py   such a server: the least that a fan-out in Python must do
    rows.py, crowds.py, stalls.py    the scenarios
    pairs.py       the scenarios in which the servers of two commits take turns
    checkout.py    the server of a commit, exported and run
    interval.py    the median of some ratios, and its 95 % interval               (pure)
    comparison.py  the table with a verdict a row                                 (pure)
    yardstick.py   the C reference servers, when they are at hand
    machine.py     what it was measured on
    report.py      the figures as tables, held against what is wanted            (pure)

The driver, which is this process, uses no Trio and none of our code: the judge is independent of the
judged. It needs Linux, for epoll and for what /proc knows of a process.
"""
