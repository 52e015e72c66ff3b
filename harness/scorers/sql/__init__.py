"""Scorers of queries: by their results, by their clauses, by whole conversations."""
