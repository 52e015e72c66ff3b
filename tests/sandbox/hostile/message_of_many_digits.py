# red: {"mode": "tests", "want": ["failed"], "test": "got = add_one(1)\nassert got == 2, got\n"}
# Honest, but the test's message cannot be written.
def add_one(x):
    return 3**20000
