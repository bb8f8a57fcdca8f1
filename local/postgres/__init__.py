"""A real PostgreSQL on loopback, in a temporary directory."""
