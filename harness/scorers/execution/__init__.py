"""Scorers that run the answer in the sandbox: unit tests, input and output cases, snippets, symbolic mathematics."""
