"""Values exchanged by tests and candidate, in an encoding that runs no code of the sender."""
