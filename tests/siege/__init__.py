"""The siege: bounded attacks on a real server process, with two well-behaved witnesses chatting meanwhile.

    attack.py      what an attack is: a function, and what the runner has to know about it  (pure)
    attacks/       the attacks, grouped by kind; `plan.py` collects them
    plan.py        which attacks there are, and how long each phase lasts                  (pure)
    wire.py        frames, WebSocket frames, PROXY headers as bytes                        (pure)
    texts.py       names and texts that are expensive to check                             (pure)
    client.py      an attacking client: a socket and little else
    context.py     what an attack function gets: connections, counts, required values
    attacker.py    the process that runs one attack
    contract.py    the lines of the witnesses: order, holes, duplicates, latency           (pure)
    witnesses.py   the process of the two witnesses
    processes.py   the witnesses and the attacker, as the runner sees them
    run.py         one attack on one server: quiet phase, attack, after phase
    verdict.py     the bounds, and what a measurement broke                                (pure)
    report.py      the results as tables                                                   (pure)

Server, witnesses and attacker are three processes: the server has one core, the other two share another, and
the attacker has the lower priority. The witnesses use no Trio and none of our code. All connections stay on
loopback. The siege needs Linux, for core affinity and `/proc`.
"""
