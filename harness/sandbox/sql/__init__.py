"""Queries: `worker` runs them in a confined SQLite process, `client` asks it."""
