"""The terminal: `trio-chat join`, for now line by line, which works in a pipe as well.

target    PURE: NAME@HOST:PORT
tokens    who one is, remembered in a file
commands  PURE: what was typed, as an action
show      PURE: what came, as lines of text or of JSON
escape    PURE: what must not reach a terminal as it is
standard  standard input as lines; standard output and error
screen    what comes and what was asked for, shown
speaker   what was typed, done, in order
lines     one run of it all, from the name to the goodbye
"""
