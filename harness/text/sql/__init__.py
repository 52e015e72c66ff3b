"""Text-to-SQL without running anything: reading SQL as the official evaluators do, and comparing results.

    text.py       what happens to a query before it is run: rewritten as the official evaluator does
    grammar.py    Spider's grammar: a query as the clauses that exact set match compares
    match.py      exact set match, clause by clause, and hardness (Yu et al., 2018)
    compare.py    whether two results are equal: as bags, sets or lists; soft F1
    logical.py    WikiSQL's logical forms
    tables.py     a database's tables: read, shown in prompts, named for the grammar
    databases.py  a benchmark's databases: found, built from scripts, grown by variants
    benchmark.py  what the tasks share: prompts, options, conversations
    augment.py    variants of a database with other rows, so that a lucky query is found out

Queries are executed in `harness/sandbox` (engine.py, queries.py) and nowhere else.
"""
