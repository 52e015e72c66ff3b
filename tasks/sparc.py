"""SParC: questions that follow each other, each to SQL (Yu et al., 2019).

One row is an interaction: database_id "flight_2" and turns such as "What are all the airlines?" -> "SELECT * FROM
AIRLINES", "Of these, which is Jetblue Airways?" -> ... A problem is a turn, asked with the questions before it.
Judged as spider is, and by interaction: all turns right. The databases are looked for in its own folder and then
in Spider's.
"""

from harness import scorers
from harness.schema import Card, DataFile, Sampling, Task
from harness.tasks.families import text_to_sql
from harness.text.sql.query_text import find_sql

TABLES = DataFile("sparc", "tables.json")
FILES = {
    "train": DataFile("sparc", "train.json"),
    "test": DataFile("sparc", "dev.json"),
}


@text_to_sql.with_options(text_to_sql.ConversationOptions)
def task(options: text_to_sql.ConversationOptions) -> Task:
    """Options: the fields of ConversationOptions."""
    return Task(
        name="sparc",
        version=3,
        load=text_to_sql.conversation_loader(("sparc", "spider"), FILES, TABLES, options),
        templates=text_to_sql.TEMPLATES,
        extract=find_sql,
        scorers=scorers.for_queries(options.execute, conversations=True),
        sampling=Sampling(max_tokens=256),
        card=Card(
            title="SParC: conversations to SQL over unseen databases",
            paper="Yu et al. 2019, arXiv 1906.02285",
            licence="CC BY-SA 4.0",
            tags=("text-to-sql", "dialogue"),
            languages=("sql",),
            url="https://yale-lily.github.io/sparc",
            sizes={"train": 9025, "test": 1203},
            setting="greedy, zero-shot; question and interaction match; the development set is the test split",
            files=(*FILES.values(), TABLES),
        ),
    )
