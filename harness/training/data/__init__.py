"""From rows to batches: examples with their masks, tokens, packing, and synthetic rows."""
