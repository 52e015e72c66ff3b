"""Scorers that need no reference: whether an answer parses, its style, its variety, its overlap with training texts."""
