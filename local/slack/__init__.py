"""A stand-in for Slack on this machine: its Web API as far as Turnout uses it, and a channel in the terminal."""
