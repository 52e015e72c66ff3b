"""CSpider: Spider's questions in Chinese, over the same databases (Min et al., 2019).

One row: db_id "concert_singer", question "我们有多少歌手？" -> query "SELECT count(*) FROM singer". Judged as
spider is; the databases are looked for in its own folder and then in Spider's.
"""

from harness import scorers
from harness.schema import Card, DataFile, Sampling, Task
from harness.tasks.families import text_to_sql
from harness.text.sql.query_text import find_sql

TABLES = DataFile("cspider", "tables.json")
FILES = {"train": DataFile("cspider", "train.json"), "test": DataFile("cspider", "dev.json")}


@text_to_sql.with_options(text_to_sql.SpiderOptions)
def task(options: text_to_sql.SpiderOptions) -> Task:
    """Options: the fields of SpiderOptions."""
    return Task(
        name="cspider",
        version=3,
        load=text_to_sql.question_loader(("cspider", "spider"), FILES, TABLES, options),
        templates=text_to_sql.TEMPLATES,
        extract=find_sql,
        scorers=scorers.for_queries(options.execute),
        sampling=Sampling(max_tokens=256),
        card=Card(
            title="CSpider: Chinese questions to SQL over unseen databases",
            paper="Min et al. 2019, arXiv 1909.13293",
            licence="CC BY-SA 4.0",
            tags=("text-to-sql", "chinese"),
            languages=("sql",),
            url="https://taolusi.github.io/CSpider-explorer/",
            sizes={"train": 8659, "test": 1034},
            setting="greedy, zero-shot, 200 sampled questions (2311.02303); the development set is the test split",
            files=(*FILES.values(), TABLES),
        ),
    )
