"""Spider: questions to SQL over databases that no training question is about (Yu et al., 2018).

One row: db_id "concert_singer", question "How many singers do we have?" -> query "SELECT count(*) FROM singer".
Judged by executing both queries, on the benchmark's database and on every file of its test suite that lies
next to it, and by comparing their clauses. `test` is the development set, on which systems are compared; a
problem's group is its hardness.
"""

from harness import scorers
from harness.schema import Card, DataFile, Sampling, Task
from harness.tasks.families import text_to_sql
from harness.text.sql.query_text import find_sql

TABLES = DataFile("spider", "tables.json")
FILES = {
    "train": DataFile("spider", "train_spider.json"),
    "test": DataFile("spider", "dev.json"),
}


@text_to_sql.with_options(text_to_sql.SpiderOptions)
def task(options: text_to_sql.SpiderOptions) -> Task:
    """Options: the fields of SpiderOptions."""
    return Task(
        name="spider",
        version=3,
        load=text_to_sql.question_loader(("spider",), FILES, TABLES, options),
        templates=text_to_sql.TEMPLATES,
        extract=find_sql,
        scorers=scorers.for_queries(options.execute),
        sampling=Sampling(max_tokens=256),
        card=Card(
            title="Spider: questions to SQL over unseen databases",
            paper="Yu et al. 2018, arXiv 1809.08887; test suites: Zhong et al. 2020, arXiv 2010.02840",
            licence="CC BY-SA 4.0",
            tags=("text-to-sql",),
            languages=("sql",),
            url="https://yale-lily.github.io/spider",
            sizes={"train": 7000, "test": 1034},
            setting="greedy, zero-shot, 200 sampled questions (2311.02303); the development set is the test split",
            files=(*FILES.values(), TABLES),
        ),
    )
