"""Draw a run of a simulated chat as one self-contained HTML page.

frames    decodes the bytes of a connection into frames
events    the events of a run, from its notes: points on the hosts' lanes, and messages between them
layout    the position of each event
words     the text beside each row
drawing   the drawing, as SVG
page      the page around it
"""

from trio_chat.testing.picture.page import page

__all__ = ["page"]
