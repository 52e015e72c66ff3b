"""Finding a task by its name, and its rows in folders or the hub cache."""
