"""What a user can set: the config of a run (`run`), a grid of runs (`grid`), and what of it identifies a run
(`identity`).
"""
