"""Scorers that run the answer in the sandbox: tests, input and output cases, snippets, assertions, mathematics."""
