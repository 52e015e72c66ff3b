"""`harness view`: runs watched in a browser while they write, read-only and on this machine alone.

    folders      which runs are below a folder; whether somebody is writing one
    appended     a growing file of rows, each whole line read once, with its offset
    live_counts  what an unfinished run has made so far: tokens, cost, cut off, refused, faults
    watcher      the card of each run, as the list shows it; looks at the disk only while somebody watches
    index        where each sample stands in its files and how it ended: SQLite, in a temporary file
    samples      pages of samples, search, one sample in full, two runs side by side
    guard        who is answered: the address, the token, requests of other sites
    child        `harness report` and `harness compare` in a process of their own
    pages        the three pages, without any text of a run in them
    app          addresses -> the above (Starlette)
    server       a socket and uvicorn

The pages get plain JSON and put it into themselves as text (assets/), as the report's page does. Nothing here writes
below the folder, and no task or scorer that a run names is loaded in this process.
"""
