"""Environments that benchmarks are judged in: the pinned libraries, and what is known of a machine that has them.

    requirements   which libraries and versions a task's programs were written for: tasks/environments/TASK.txt
    lock           what `harness env` found out: the versions, and the rows that cannot be trusted there
    build          makes the environment, proves every reference in it and writes the lock

A run whose `judge.python` is of such an environment sees all of its libraries, leaves out the rows that the lock
excludes, and has the lock's digest in its signature: who judges with the same lock judges the same rows.
"""
