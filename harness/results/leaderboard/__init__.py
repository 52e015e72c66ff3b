"""A static leaderboard over submissions and runs: what is new is judged, every model stands beside every task.

submissions   the folders: model.toml, recorded completions, runs
judging       recordings that were not judged yet
rows          the lines of a task's table, with rank ranges from paired tests
matrix        models by tasks: win rates, versions, the Pareto front
files         CSV, JSON, Markdown, Parquet
site          the pages, from the templates in assets
"""
