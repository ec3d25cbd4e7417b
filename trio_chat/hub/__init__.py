"""The hub: who is who, who is where, and what is allowed. Pure rules: no Trio, and time is an argument."""
