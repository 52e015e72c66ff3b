"""The route `/run_code` as SandboxFusion's clients know it: a program, its standard input, what it printed.

Taken over are code, language, stdin, files, run_timeout (CPU seconds here) and the shape of the answer. Not here:
fetch_files, notebooks, and a compiler's output on standard output beside a program's.
"""

import base64
import binascii
import re

from harness.errors import SandboxFault, UserError
from harness.schema import ExecResult, Limits, Program
from harness.serve.messages import MOST, CommandResult, RunCodeReply, RunCodeRequest, within

# Names of theirs that are others here; those that are equal are not listed.
LANGUAGES = {
    "nodejs": "javascript",
    "js": "javascript",
    "ts": "typescript",
}
EXIT_STATUS = re.compile(r"exit status (\d+)")
REFUSED = ("pytest", "go_test", "junit", "jest")


def program(asked: RunCodeRequest) -> Program:
    """Raises UserError for what is not here."""
    if asked.language in REFUSED:
        raise UserError(f"language {asked.language!r}: post the program with its tests to /v1/checks")
    if asked.fetch_files:
        raise UserError("fetch_files: files are not sent back; print what you need")
    try:
        files = {
            name: base64.b64decode(text, validate=True).decode()
            for name, text in asked.files.items()
            if text is not None
        }
    except (binascii.Error, UnicodeDecodeError) as error:
        raise UserError(f"files: expected texts in base64: {error}") from None
    memory = {"memory_mb": max(16, asked.memory_limit_MB)} if asked.memory_limit_MB > 0 else {}
    made = Program(
        code=asked.code,
        language=LANGUAGES.get(asked.language, asked.language.lower()),
        stdin=asked.stdin or "",
        files=files,
        limits=Limits(cpu_s=asked.run_timeout, wall_s=min(2 * asked.run_timeout, MOST.wall_s), **memory),
    )
    within(made.limits, 0, "memory_limit_MB")
    return made


def reply(program: Program, result: ExecResult | SandboxFault) -> RunCodeReply:
    if isinstance(result, SandboxFault):
        return RunCodeReply(status="SandboxError", message=str(result))
    exit_status = EXIT_STATUS.fullmatch(result.detail)
    passed, late = result.status == "passed", result.status == "timeout"
    ended = int(exit_status[1]) if exit_status else 0 if passed else 1  # 1: an exception, a limit
    ran = CommandResult(
        status="TimeLimitExceeded" if late else "Finished",
        execution_time=result.wall_s,
        return_code=None if late else ended,
        stdout=result.stdout,
        stderr=result.stderr or ("" if exit_status else result.detail),
    )
    if result.status == "compile_error" and program.language != "python":  # which compiles as it runs
        return RunCodeReply(status="Failed", message=result.detail, compile_result=ran)
    return RunCodeReply(status="Success" if passed else "Failed", message=result.detail, run_result=ran)
