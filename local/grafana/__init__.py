"""Grafana: its dashboard, made by code, and what provisions it."""
