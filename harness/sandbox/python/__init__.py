"""Python programs: a prewarmed zygote forks a candidate for each program; tests run in a separate process."""
