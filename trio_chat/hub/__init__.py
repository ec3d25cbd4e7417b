"""The hub: members, rooms and rates. Pure rules: no Trio, and time is an argument."""
