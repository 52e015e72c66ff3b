# red: {"mode": "tests", "want": ["error"], "test": "assert list(add_one(1)) == [2]\n", "good": "def add_one(x):\n    return [x + 1]\n", "bad": "def add_one(x):\n    return [x]\n"}  # noqa: E501
def add_one(x):
    while True:
        yield b"z" * (14 << 20)
