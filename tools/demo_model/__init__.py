"""The demo model: a 2M-parameter Llama, its synthetic training corpus and the script that trains it.

It exists so that the whole harness can be tried offline in a minute: it answers short Python instructions,
completes short functions and copies a pattern from examples in its prompt. It is not a useful code model and
no baseline. The demo chat model (`chats`, `prepare_chat`) is trained from it, to be asked in chats, with thinking and
without.
"""
