"""The judge as a service: verdicts over HTTP, for trainers, for other harnesses, and for runs on machines without one.

Theory of operation
-------------------
A judge has one process and three kinds of thread. `harness.Judge` is all of it but the first.

    event loop   uvicorn and Starlette: reads requests within their limits, writes answers. Judges nothing
    requests     one thread for each request that is being judged: extracts answers, scores them, draws results
    lanes        one for each worker of the sandbox, with a Pool of one worker. Nobody else touches a Pool

    judge.py      Judge: a task with its data; (problem, completion) -> Judgement, as a run would write it
    lanes.py      Lanes: takes programs and queries of all requests, oldest first, and judges them; SharedSandbox: the
                  schema.Sandbox over them that any thread may use
    service.py    Service: the judges of the tasks that are served, and what all requests share
    posted.py     programs and queries that come with their own tests, as problems
    databases/    databases of posted scripts, built in a process of their own, kept while they are used
    run_code.py   the route of SandboxFusion's clients

    app.py        routes -> Starlette
    verdicts.py   the routes that judge; programs.py: those of runs on other machines (runs/services is their client)
    messages.py   what is posted and answered
    stream.py     a generator in a thread -> lines in the event loop
    admission.py  who may ask, and how much at a time: token, body, time, queue
    openapi.py    the description of the routes; metrics.py: Prometheus' text
    server.py     sockets and signals

A lane takes the oldest waiting job and goes on with jobs of the same settings for a second at most, so requests share
the workers evenly and no batch waits for its slowest program alone. Verdicts do not depend on who asked, or in what
order: a program is judged by a fresh process whatever ran before it. Equal programs are judged once where the verdict
cache allows that, so a request that is sent again costs little; nothing else is kept between requests.

Tests and references of the tasks that are served never leave the process. Whoever holds the token may have programs and
tests run in the sandbox, confined both; it is no right to anything else on this machine. A tester lives on after its
tests, which are trusted not to attack it: so what is posted has testers of its own, and no file remembers its verdicts.
"""
