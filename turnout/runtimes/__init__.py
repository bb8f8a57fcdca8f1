"""Where attempts execute, and what holds in the tools that they run."""
