"""Plain values between tests and candidate: an encoding that runs no code of the sender."""
