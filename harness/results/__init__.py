"""Views of finished runs: comparison, gate, preference, reports.

Everything here reads records and generates nothing, except `preference`, which asks a model which of two
answers is better.
"""
