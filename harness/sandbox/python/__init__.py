"""Python programs: a prewarmed zygote forks one candidate each; tests run in a process of their own."""
