"""GitHub on this machine, as far as Turnout speaks with it."""
