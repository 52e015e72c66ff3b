"""CoSQL: dialogues with a database, each question to SQL (Yu et al., 2019).

One row is an interaction with database_id and turns, as in SParC; only the turns that ask for data have a query and
are in the files of the SQL-grounded state tracking part, which is this task. A problem is a turn, asked with the
questions before it. Judged as spider is, and by interaction: all turns right.
"""

from harness import scorers
from harness.schema import Card, DataFile, Sampling, Task
from harness.tasks.families import text_to_sql
from harness.text.sql.query_text import find_sql

TABLES = DataFile("cosql", "tables.json")
FILES = {
    "train": DataFile("cosql", "sql_state_tracking/cosql_train.json"),
    "test": DataFile("cosql", "sql_state_tracking/cosql_dev.json"),
}


@text_to_sql.with_options(text_to_sql.ConversationOptions)
def task(options: text_to_sql.ConversationOptions) -> Task:
    """Options: the fields of ConversationOptions."""
    return Task(
        name="cosql",
        version=3,
        load=text_to_sql.conversation_loader(("cosql", "spider"), FILES, TABLES, options),
        templates=text_to_sql.TEMPLATES,
        extract=find_sql,
        scorers=scorers.for_queries(options.execute, conversations=True),
        sampling=Sampling(max_tokens=256),
        card=Card(
            title="CoSQL: dialogues to SQL over unseen databases",
            paper="Yu et al. 2019, arXiv 1909.05378",
            licence="CC BY-SA 4.0",
            tags=("text-to-sql", "dialogue"),
            languages=("sql",),
            url="https://yale-lily.github.io/cosql",
            sizes={"train": 7343, "test": 1007},
            setting="greedy, zero-shot; question and interaction match; the development set is the test split",
            files=(*FILES.values(), TABLES),
        ),
    )
