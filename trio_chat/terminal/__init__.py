"""The terminal: `trio-chat join`, for now line by line, which works in a pipe as well.

target    PURE: NAME@HOST:PORT
commands  PURE: what was typed, as an action
show      PURE: what came, as lines of text or of JSON
escape    PURE: what must not reach a terminal as it is
typed     standard input, as lines
lines     the loop: what is typed goes out, what comes is shown
"""
