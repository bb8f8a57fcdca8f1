"""Prometheus: what it scrapes, and what it warns of."""
