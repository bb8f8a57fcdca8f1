"""Turnout with Docker Compose: what starts `local/compose.yaml`, and the demo on it. See docs/compose.md."""
