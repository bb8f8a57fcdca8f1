"""The store in a relational database: SQLite for one machine, PostgreSQL for many."""
