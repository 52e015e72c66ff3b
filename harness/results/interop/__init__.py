"""Results to and from other tools: readers, exports, experiment trackers."""
