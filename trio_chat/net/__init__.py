"""The net: links, through which bytes come and go, and how they come about (`listen`, `dial`)."""
