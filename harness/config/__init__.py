"""What a user can set, as checked values.

load      TOML and --set -> a checked value, or one line that says what is wrong
run       the config of one run; its parts in `backend` and `sampling`
grid      a config with a [matrix] -> the runs it asks for
identity  what of a run's record says which run it is
"""
