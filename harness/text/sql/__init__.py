"""Text-to-SQL without running anything: reading SQL as the official evaluators do, and comparing results.

    query_text.py       what happens to a query before it is run, as the official evaluators do it
    statements.py       the query in what a model says
    spider_grammar.py   Spider's grammar: parses a query into the clauses that exact set match compares
    spider_query.py     such a query, and what is left of it without values and table aliases of columns
    exact_set_match.py  exact set match, clause by clause, and hardness (Yu et al., 2018)
    result_match.py     whether two results are equal: as bags, sets or lists; soft F1
    wikisql_form.py     WikiSQL's logical forms
    tables.py           a database's tables: read, shown in prompts, named for the grammar
    databases.py        a benchmark's databases: found, built from scripts, extended by variants
    db_variants.py      variants of a database with other rows, so that a query that is right by chance is detected

What the tasks share is in harness/tasks/families/text_to_sql.py. Queries are executed in harness/sandbox/sql and
nowhere else.
"""
