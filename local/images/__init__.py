"""Building the agents' images."""
