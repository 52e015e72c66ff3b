"""How the next token is chosen: greedy, sampling, beam search, penalties, and the loop around them."""
