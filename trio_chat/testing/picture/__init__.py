"""A run of a simulated chat as one page that stands by itself.

frames    what the bytes of a connection say, piece by piece
events    what happened, from what was noted: points on the hosts' lanes, and what went between them
layout    where each of them is drawn
words     what is said beside it
drawing   … and how it looks, as SVG
page      the page around it
"""

from trio_chat.testing.picture.page import page

__all__ = ["page"]
