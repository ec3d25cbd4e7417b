"""trio-chat's load tool. The name is generic: whoever finds it in site-packages finds here whose it is.

There is nothing in it yet.
"""
