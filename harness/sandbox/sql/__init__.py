"""SQL queries: `worker` runs them in a confined SQLite process, `client` sends them to it."""
