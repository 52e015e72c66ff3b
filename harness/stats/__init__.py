"""Intervals, and paired tests of differences. Arrays in, numbers out."""
