"""The agents: one folder for each kind of task; `agents.sdk` holds what they share."""
