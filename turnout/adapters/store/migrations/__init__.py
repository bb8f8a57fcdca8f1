"""The history of the tables. `turnout.adapters.store.schema.migrate` runs it; a new one: see docs/store.md."""
