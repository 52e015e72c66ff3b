"""What the model is asked: `templates` turns a problem into a prompt, `few_shot` chooses the examples in it,
`retrieval` finds them.
"""
