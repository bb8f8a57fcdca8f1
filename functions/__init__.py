"""The deployable functions: thin shells, one folder each; the logic is in `turnout`."""
