"""The words of docs/benchmarks.md that are the same after every run."""

__all__ = [
    "BEGIN",
    "BY_HAND",
    "CONNECTS",
    "END",
    "EVERYBODY",
    "HOW",
    "INTRODUCTION",
    "JOURNAL",
    "READING",
    "ROOMS",
    "ROWS",
    "SIMULATED",
    "STALLED",
    "YARDSTICK",
]

BEGIN = "<!-- written by hand, from here … -->"
END = "<!-- … to here; the rest of this page is made by `nox -s bench` -->"
BY_HAND = f"""{BEGIN}

## Where the microseconds go

This part is not written yet: the tables above show how much, not where.

{END}"""

INTRODUCTION = """# Benchmarks

What `nox -s bench` measured, on one machine on one day. The server is a process of its own on one core, the
driver another on a second one, loopback between them. Everything is as users have it, with the journal in
memory: every message has a `ref` and is acked, names are checked, the limits are the defaults, but there is
no rate limit (`--no-rate-limit`). Texts have 100 bytes unless stated otherwise.
"""

HOW = """## Again

```console
$ pip install nox
$ nox -s bench                       # all of it, some eight minutes; writes this page
$ nox -s bench -- --quick            # under a minute, small; only prints the tables
$ nox -s bench -- burst stalled      # some of it; only prints the tables
$ nox -s bench -- --json raw.json    # every repetition, not only the medians
$ nox -s bench -- --against v0.1.0   # is HEAD slower than that commit? only prints a table
$ nox -s bench -- --against HEAD~1 --pairs 31 burst    # one row, more exactly
$ nox -s bench -- --help
```

It needs Linux (epoll, and what `/proc` knows of a process) and wants two cores with nothing else to do. The
first table also needs the yardstick, which is not part of this repository; the environment variable
`YARDSTICK` says where it is.

`--against COMMIT` compares two commits, that one and HEAD, in some eleven minutes for all rows. The files
of both are exported into a temporary directory and run under one Python with the same dependencies. In each
of 15 pairs both servers start anew and take short turns (old, new, new, old, …) in the same minute, and the
pair gives one ratio of new to old: CPU, time or memory, so that above 1 is always worse. The table shows
the median ratio and its 95 % interval, from the fourth to the twelfth of the sorted ratios, which assumes
nothing about how they are distributed. A row is **slower** when all of its interval lies above 1.05,
**faster** when all of it lies below 1/1.05, and else **not slower**. The exit status is 1 when a row is
slower, 2 when there is no verdict. Both commits must speak the wire of today's driver, and the changes must
be committed.
"""

READING = """## How to read it

- **Differences under 30 % are none** (smaller ones are for `--against`). Figures are medians of repetitions
  in which the compared servers take turns; on a virtual machine they still move by that much from run to
  run. Ratios within one run are steadier than microseconds, and microseconds of two machines cannot be
  compared at all.
- **CPU is the server's**, user and kernel, as the scheduler counts it (`/proc/PID/task/*/schedstat`), for
  each delivery: a message to 500 members is 500 deliveries. On loopback the kernel charges a send with all
  that follows, up to queueing the bytes at the receiver: so that is the server's, too.
- **Latency** ends when the driver has read the message, member by member, in one thread: in a room of 1,000
  the last is read a few milliseconds after the first, whatever the server does. The references pay for that
  as well.
- **Memory** is what is resident of the server. What the kernel holds for its sockets is not in it.
- **Every delivery is checked.** A room's members all receive the same bytes. So the driver keeps one
  transcript, which it decodes in full (each message once, each sender's in order, numbered without a hole,
  every text as it was said), and compares with it what each member received: all members, all bytes, no
  samples. Every ack is checked for the number it names. Anything lost, doubled, changed or out of order ends
  the run without figures. (The yardstick's driver has a bit for each delivery, and holds the members' orders
  against each other.)
"""

YARDSTICK = """## Against the best that one core can do

The yardstick's driver, and its two servers in C, which parse no JSON, know one room and keep nothing:
`shared` collects what one pass of its loop brings and sends it to all at once, `direct` makes one send for
each delivery. *low* is 20 messages a second, *burst* one sender with 64 messages in flight, *many* 16
senders with one each, *paced* 50,000 deliveries a second, timed from when each message was due.

"""

ROWS = """## Against the least that Python can do

The same scenarios by the repository's own means. The references are `tests/bench/reference.py`: epoll and
nothing else, no JSON, no rooms, no names, no acks, no journal. The ratio is to `shared` where messages come
many at a time, else to `direct`. `busy` is how much of their cores server and driver used: where neither is
near 100 %, the deliveries a second are what the two waiting for each other leaves.

"""

CONNECTS = """## Coming in

{members} connections, {at_once} at a time, each with its `hello` and its `join` into one room (the reference
knows only the join), while all who are there already are told who comes.

"""

ROOMS = """## Very large rooms

One sender, closed loop, with 64 messages in flight and with one. The reference does the same for each
member however many there are: what a delivery costs it more in a large room is the machine's part, whose
caches do not hold so many sockets. All of our members had come in:
{came}.
{note}
"""

STALLED = """## One session stalls

{members} members, paced as above. One more session, with a small receive buffer, stops reading, and so much
is said that its socket takes no more: the kernel holds {held} KiB for it, and it is {behind} KiB behind that.
Then the latency of all the others is measured, in turn with everybody reading. Afterwards it reads on, and
has received everything.

"""

LOADTOOL = """## The load tool

`trio-chat loadtest` on the driver's core: {users} users in one room, an open loop of {paced} deliveries a
second, some of the users going and coming back. Each delivery is verified: decoded, and room, author, number
and text held against what was said. The judge is timed in runs of their own. `fanout.c` is the yardstick's
driver at the same rate: a bit for each delivery, and nothing decoded.

"""

SIMULATED = """## A chat simulated

One run of `simulate`: server, {users} users in one room, the network, the journal and the judge in one
process, on a virtual clock, {messages} messages, and at least {struck} faults that struck. Medians over
{seeds} seeds, each run three times.

"""

JOURNAL = """## The journal in a file

The same server, in turn with its journal in memory and in a file (SQLite, durability `normal`), the thread
that writes on the server's core. *acks*: clients in one room that each wait for the ack of what they said
before they say more. The search index is made when there is nothing else to do, or beside the commits once
more than {backlog} entries wait for it. `burst` and `many` are those of the large table. *The store by
itself* numbers, encodes and writes batches of 60, and is held against a loop that writes the same entries and
refs by `executemany` and decides nothing. *One who is behind* enters a room with {behind} entries and reads
all of them, while others talk in another room, 50,000 deliveries a second.

"""

EVERYBODY = """## Everybody stalls at once

{members} members of a room with {per_s} messages a second all stop reading for {stall_s} seconds. The talk
goes on, at first with texts of 4,000 bytes and as fast as it can, until the sockets take no more. Then all
read again. No member lost anything. *Caught up* means that no member lacks a message older than
100 ms; the driver's reading, of what the kernel held and of the rest, is part of it.

"""
