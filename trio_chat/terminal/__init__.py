"""The terminal client: `trio-chat join`, line by line, in a terminal or in a pipe.

target          PURE: parses NAME@HOST:PORT
tokens          remembers the user's tokens in a file
commands        PURE: parses a typed line into an action
plain_text      PURE: makes a line of program output acceptable to a server
show            PURE: formats events as lines of text or of JSON
escape          PURE: escapes characters that a terminal would obey
input_kind      tells a terminal, a pipe and an absent input apart
standard        reads standard input as lines; writes standard output and standard error
screen          shows events and replies
command_runner  executes typed lines in order
line_client     runs the client from connecting to quitting
"""
