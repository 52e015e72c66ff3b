"""Runs one candidate inside its fork. Once the candidate has started, nothing in this process can be trusted.

It serves the tester's requests over one socket and holds nothing worth stealing: no tests, no expected values, no other
program. Whatever a candidate does to this process, the most it can achieve is to reply with values of its choice.

Frames to the tester, by first byte: H confined, F could not be confined, S send standard input, D definitions done,
C does not compile, X an exception, E SystemExit, R a value, L one too large to send, P tests in this process passed; of
many calls M send the file for the replies, B done, O too many bytes, V (in the file) a value of exact built-in types.
From the tester: the job, then c call, n next item of a handle, v all of a handle's value, m many calls, t tests to run
here.
"""

import _sitebuiltins
import atexit
import builtins
import gc
import marshal
import os
import random
import signal
import sys
import threading
import traceback
import types
from collections.abc import Iterator
from typing import Any, NoReturn, Protocol

from harness.sandbox import framing
from harness.sandbox.isolation import confine, marks
from harness.sandbox.python import plain_bytes
from harness.sandbox.values import arrays, codec, large, standard_types

CHANNEL = 3
JOB_LIMIT = 64 << 20
_TEXT = 2000  # characters of a message
# Types of which marshal writes the values, and not just any bytes that they hold.
_PLAIN = {int, float, bool, str, bytes, complex, tuple, list, dict, set, frozenset, type(None)}

_write = os.write
_exit = os._exit
_mask = signal.pthread_sigmask
_SIGNALS = signal.valid_signals()


class Keeping(Protocol):
    """For a process that is put back after each program. `limits`: CPU seconds and megabytes, set now and not by a job.
    What it takes is left in two descriptors from the given one on, until the zygote has copies.
    """

    limits: tuple[float, int]

    def prepare(self, fd: int) -> None: ...
    def finish(self, fd: int) -> object: ...


def main(state: confine.ConfinedState, keeping: Keeping | None = None) -> NoReturn:
    """Never returns: a fork must not fall back into the zygote's loop."""
    try:
        try:
            if keeping:
                keeping.prepare(CHANNEL + 1)
            elif state.endings:
                marks.send(CHANNEL, state.endings)
            confine.drop_privileges(state)
            os.closerange(CHANNEL + 2 if keeping else CHANNEL + 1, confine.DESCRIPTORS)
            if keeping:
                confine.set_limits(state, *keeping.limits)
                _reserved = keeping.finish(CHANNEL + 1)
                _send(b"G")
                os.read(CHANNEL, 1)
                os.close(CHANNEL + 1)
                os.close(CHANNEL + 2)
        except OSError as error:
            _send(b"F" + str(error).encode())
            _exit(1)
        _send(b"H")
        _serve(state, sets_limits=keeping is None)
    except framing.ConnectionClosed:
        _exit(0)
    except MemoryError:
        _send(b"X" + codec.encode((("MemoryError", "Exception"), (), "MemoryError")))
        _exit(1)
    finally:
        _exit(1)


def _send(payload: bytes) -> None:
    framing.write_all(CHANNEL, framing.frame(payload))


def _serve(state: confine.ConfinedState, sets_limits: bool) -> None:
    frames = framing.FrameBuffer(JOB_LIMIT)
    job = marshal.loads(
        framing.read_frame(CHANNEL, frames)
    )  # the tester's, and no candidate code has run yet
    if job["stdin"]:
        _send(b"S")
        stdin = framing.receive_descriptor(CHANNEL)
        os.dup2(stdin, 0)
        os.close(stdin)
    _write_files(job["files"])
    if sets_limits:
        confine.set_limits(state, job["cpu_s"], job["memory_mb"])
    sys.set_int_max_str_digits(0)  # benchmarks are older than that limit, and CPU time has its own
    random.seed(0)
    sys.argv = ["program.py", *job["argv"]]
    gc.enable()
    if job["mode"] == "main":
        _run_main(job["code"])
    module = define(job["code"], job["before"])
    if module is None:
        return
    entry = vars(module).get(job["entry"], None)
    _send(b"D" + codec.encode((job["entry"] in vars(module), callable(entry))))
    serve_requests(
        module, entry, frames, standard_types.KINDS if not job["arrays"] else (arrays.describe, arrays.build)
    )


def _write_files(files: dict[str, str]) -> None:
    for name, text in files.items():
        os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
        with open(name, "w", encoding="utf-8", newline="") as file:
            file.write(text)
    if files:
        sys.path.insert(0, os.getcwd())


# ---------------------------------------------------------------- whole programs


def _run_main(source: str) -> NoReturn:
    """As `python program.py` does: threads joined, exit functions run, output flushed, the same exit status."""
    for name in ("exit", "quit"):  # what else `site` does
        setattr(builtins, name, _sitebuiltins.Quitter(name, "Ctrl-D (i.e. EOF)"))
    for name in ("copyright", "credits", "license"):
        setattr(builtins, name, _sitebuiltins._Printer(name, ""))
    builtins.help = _sitebuiltins._Helper()
    stdout, stderr = sys.stdout, sys.stderr
    code = _execute_main(source)
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
    except BaseException:  # noqa: BLE001 - the program's own; it does not change the exit status in Python either
        traceback.print_exc()
    for stream in (sys.stdout, sys.stderr, stdout, stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            code = code or 120  # Python's exit status when standard output cannot be flushed
    # A timer of the program must not interrupt its last call, which may have to wait (marks.py).
    _mask(signal.SIG_BLOCK, _SIGNALS)
    _exit(code)


def _execute_main(source: str) -> int:
    try:
        _module("__main__", source)
    except SystemExit as exit_request:
        return _exit_code(exit_request)
    except BaseException as error:  # noqa: BLE001 - whatever a program raises is its result
        _report(error)
        _print_error(error)
        return 1
    return 0


def _exit_code(exit_request: SystemExit) -> int:
    if exit_request.code is None:
        return 0
    if isinstance(exit_request.code, int):
        return exit_request.code & 0xFF
    print(exit_request.code, file=sys.stderr)
    return 1


def _print_error(error: BaseException) -> None:
    """A traceback without this module's own frames."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    try:
        traceback.print_exception(type(error), error, trace)
    except BaseException:  # noqa: BLE001 - raised by the exception's own methods
        _write(2, b"an exception that cannot be printed\n")


# ---------------------------------------------------------------- functions for the tests


def _module(name: str, source: str, before: str = "") -> types.ModuleType:
    module = types.ModuleType(name)
    module.__file__ = "program.py"
    sys.modules[name] = module
    if name != "__main__":
        sys.modules["__main__"] = module
    try:
        code = compile(source, "program.py", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError) as error:
        # Distinct from a SyntaxError that the running program raises, which is an ordinary exception.
        raise _CompileError(error) from None
    exec(before, vars(module))
    exec(code, vars(module))
    return module


class _CompileError(Exception):
    pass


def define(source: str, before: str = "") -> types.ModuleType | None:
    """Run the definitions, after `before`. None if they failed, which the tester has then been told."""
    try:
        return _module("solution", source, before)
    except SystemExit as exit_request:
        _send(b"E" + codec.encode(str(exit_request.code)[:200]))
    except BaseException as error:  # noqa: BLE001 - whatever a candidate raises is its result
        _report(error)
    return None


def _report(error: BaseException) -> None:
    """Send an exception to the tester."""
    _send(_exception(error))


def _exception(error: BaseException) -> bytes:
    """An exception as a frame: its built-in bases, nearest first, its arguments as far as they can be
    serialised, and the last line of its traceback.
    """
    if isinstance(error, _CompileError):
        inner = error.args[0]
        where = f" (line {inner.lineno})" if isinstance(inner, SyntaxError) and inner.lineno else ""
        what = inner.msg if isinstance(inner, SyntaxError) else str(inner)
        return b"C" + codec.encode(f"{type(inner).__name__}: {what[:_TEXT]}{where}")
    bases = tuple(base.__name__ for base in type(error).__mro__ if base.__module__ == "builtins")
    try:
        text = str(error)[:_TEXT]
    except BaseException:  # noqa: BLE001 - a candidate's own __str__
        text = ""
    try:
        arguments = codec.encode(tuple(error.args), limit=1 << 16)
    except BaseException:  # noqa: BLE001 - a candidate's own args
        arguments = codec.encode((text,))
    name = str(type(error).__name__)[:_TEXT]
    return b"X" + codec.encode((bases, arguments, f"{name}: {text}" if text else name))


def serve_requests(
    module: types.ModuleType, entry: Any, frames: framing.FrameBuffer, kinds: codec.Kinds
) -> None:
    describe, build = kinds
    handles: list[Any] = []
    stdout = sys.stdout

    def handle_of(value: object) -> codec.Handle:
        handles.append(value)
        kind = type(value)
        if hasattr(kind, "__next__"):
            return len(handles) - 1, "iterator", kind.__name__
        if hasattr(kind, "__iter__"):
            return len(handles) - 1, "iterable", kind.__name__
        return len(handles) - 1, "object", kind.__name__

    def handle_value(number: int, kind: str, name: str) -> object:
        return handles[number]

    file = -1
    while True:
        request = framing.read_frame(CHANNEL, frames)
        if request[:1] == b"m":
            if file < 0:
                _send(b"M")
                file = framing.receive_descriptor(CHANNEL)
            _answer_many(entry, marshal.loads(request[1:]), file, handle_of, describe)
            continue
        try:
            if request[:1] == b"c":
                args, kwargs = codec.decode(request[1:], handle_value, build)
                value = entry(*args, **kwargs)
            elif request[:1] == b"n":
                value = _next_of(handles, codec.decode(request[1:]))
            elif request[:1] == b"v":
                _send(_reply(handles[codec.decode(request[1:])], handle_of, describe))
                continue
            else:
                value = _run_tests(module, codec.decode(request[1:]))
                _send(b"P" + value)
                continue
            stdout.flush()
            reply = _reply_of_digest(value, handle_of) or _reply(value, handle_of, describe)
        except SystemExit as exit_request:
            _send(b"E" + codec.encode(str(exit_request.code)[:200]))
            return
        except BaseException as error:  # noqa: BLE001 - whatever a candidate raises is its result
            _report(error)
            continue
        _send(reply)


def _answer_many(
    entry: Any, inputs: list[Any], file: int, handle_of: codec.Other, describe: codec.Describe
) -> None:
    """Replies go to a file, which the tester reads when it likes."""
    stdout, plain = sys.stdout, _PLAIN if describe is standard_types.describe else ()
    for args in inputs:
        try:
            value = entry(*args)
            stdout.flush()
            data = plain_bytes.dumps(value) if type(value) in plain else None
            if data is not None:
                reply = b"V" + data
            else:
                reply = _reply_of_digest(value, handle_of) or _reply(value, handle_of, describe)
        except SystemExit as exit_request:
            reply = b"E" + codec.encode(str(exit_request.code)[:200])
        except BaseException as error:  # noqa: BLE001 - whatever a candidate raises is its result
            reply = _exception(error)
        try:
            framing.write_all(file, framing.frame(reply))
        except OSError:  # the file has a largest size
            _send(b"O")
            return
        if reply[:1] == b"E":
            _exit(1)
    _send(b"B")


def _reply(value: object, handle_of: codec.Other, describe: codec.Describe) -> bytes:
    try:
        return b"R" + codec.encode(value, handle_of, describe=describe)
    except MemoryError:
        raise
    except (codec.TooLarge, RecursionError) as error:
        return b"L" + codec.encode(str(error)[:200])
    except Exception:  # noqa: BLE001 - it lies about its class: sent as opaque
        number, _, name = handle_of(value)
        return b"R" + codec.encode(_Placeholder(), lambda _: (number, "object", name))


def _reply_of_digest(value: object, handle_of: codec.Other) -> bytes:
    """For a value that may be too large; empty for others."""
    told = large.digest(value)
    if not told:
        return b""
    number, _, _ = handle_of(value)
    return b"R" + codec.encode(_Placeholder(), lambda _: (number, "large", told))


class _Placeholder:
    """A type unknown to the codec, so that a handle is sent in its place."""


def _next_of(handles: list[Any], number: int) -> object:
    """The next item as a 1-tuple, an empty tuple at the end. An iterable is replaced by its iterator."""
    source = handles[number]
    if not isinstance(source, Iterator):
        source = handles[number] = iter(source)
    for item in source:
        return (item,)
    return ()


def _run_tests(module: types.ModuleType, tests: tuple[str, str, bytes, bool]) -> bytes:
    """Run tests in this process; returns the nonce that proves they ran to their end."""
    setup, code, nonce, in_module = tests
    if in_module:
        exec(compile(code, "tests.py", "exec", dont_inherit=True), vars(module))
        return nonce
    namespace: dict[str, Any] = {"__name__": "tests"}
    exec(compile(setup, "setup.py", "exec", dont_inherit=True), namespace)
    namespace.update({name: value for name, value in vars(module).items() if not name.startswith("__")})
    exec(compile(code, "tests.py", "exec", dont_inherit=True), namespace)
    return nonce
