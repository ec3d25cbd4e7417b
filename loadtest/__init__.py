"""trio-chat's load tool: simulated users, every delivery judged.

(The name is generic: whoever finds it in site-packages finds here whose it is.)

    scenario    what is asked for: users, rooms, rate; who goes when, and how        pure
    pacing      which messages are due, and which could not be started in time       pure
    thresholds  `p99 > 50ms`: what would be too slow                                 pure
    stats       latencies and counts
    line        a connection that can also be ended rudely
    user        one user: comes, speaks when told to, hears everything, goes, comes back
    ear         what it hears, shown to the judge
    runner      the run: who is started when, and when everything must have come
    verdict     what came of it: fine, too slow, could not run, broken, invalid      pure
    report      the verdict as lines and as JSON
    screen      standard output, which may end before the run does
    live        how far it is, on a terminal or as plain lines
    server      a server of its own, as a process, when no address is given
    command     all of it together, as `trio-chat loadtest` calls it

A user is a `trio_chat.connect`, and the judge is `trio_chat.contract`: the tool knows nothing of what
happens inside a server.
"""
