"""The load tool of trio-chat: simulated users, with every delivery verified.

(The name of this package is generic. It belongs to trio-chat.)

    scenario    users, rooms, rate, and which users disconnect when and how          pure
    pacer       which messages are due, and which could not be sent in time          pure
    rank        percentiles by nearest rank                                          pure
    thresholds  parses `p99 > 50ms`                                                  pure
    stats       latencies and counts
    transport   a connection that can also be half-closed or reset
    user        one user: connects, sends, receives, disconnects, reconnects
    recorder    passes what a user receives to the judge
    runner      the run: starts the users, and waits until all deliveries are complete
    verdict     the result: fine, threshold missed, could not run, broken, invalid   pure
    leftovers   the rooms that a run leaves on a server, and how to remove them      pure
    report      the verdict as lines and as JSON
    screen      standard output, which may be closed before the run ends
    progress    the progress of a run, on a terminal or as plain lines
    server      a server for the run, as a process, when no address is given
    target      parses the address and the share of disconnects
    command     the whole run, as `trio-chat loadtest` calls it

A user is a `trio_chat.connect`, and the judge is `trio_chat.contract`: the tool does not depend on the inside
of the server.
"""
