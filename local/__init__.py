"""What runs Turnout on one machine: real parts, the demo, the sample repository. Never installed."""
