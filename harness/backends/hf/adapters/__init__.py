"""PEFT adapters on a base that stays what it was: found, checked, put on, taken off, several at once."""
