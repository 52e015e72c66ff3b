"""Scorers that compare an answer with reference texts; nothing is executed."""
