# red: {"mode": "tests", "want": ["error"], "cpu": 0.5, "test": "got = add_one(1)\nassert got\nwhile got != 2:\n    got -= 1\n", "bad": "def add_one(x):\n    return 0\n"}  # noqa: E501
# Honest, but the test counts down from what it returns.
def add_one(x):
    return x
