# red: {"mode": "main", "rung": "landlock", "want": ["output"]}
# Deeper than any recursion.
import os

while True:
    os.mkdir("e")
    os.chdir("e")
