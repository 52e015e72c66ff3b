"""Programs of the benchmarks whose tests are compiled together with the answer: how answer and prompt are joined.

What HumanEval-X (Zheng et al., 2023) and CodeFuseEval do, language by language, as pure functions of text.
Where their two versions differ, it says so. What is put around the answer is in `inline_tests`.
"""

import re

from harness.schema import InlineTests, Limits
from harness.tasks.families import completion_marker

LIMITS = Limits(cpu_s=5.0, wall_s=30.0, memory_mb=1024)

# What both upstreams put in front of every program, unless the prompt has it.
CPP_INCLUDES = tuple(
    f"#include<{header}>"
    for header in (
        *("stdlib.h", "algorithm", "math.h", "stdio.h", "vector", "string"),
        *("climits", "cstring", "iostream"),
    )
)
# HumanEvalPack's, before those.
PACK_CPP_INCLUDES = "".join(
    f"#include<{header}>\n"
    for header in (
        *("cmath", "numeric", "vector", "set", "map", "queue", "stack", "list", "deque", "string"),
        *("iostream", "sstream", "fstream"),
    )
)
PACK_CPP_INCLUDES += "using namespace std;\n"
GO_PACKAGES = (
    *("math", "strings", "fmt", "strconv", "time", "bytes", "regexp", "sort", "math/rand", "crypto/md5"),
)
PYTHON_IMPORTS = (
    *("math", "re", "sys", "copy", "datetime", "itertools", "collections", "heapq"),
    *("statistics", "functools", "hashlib", "string"),
)
JAVA_IMPORTS = "import java.io.*;\nimport java.lang.*;\nimport java.util.*;\nimport java.math.*;\n"
# What stands behind `const f =` that defines a function: a variable of a body may have the function's name.
JS_FUNCTION = r"(?:[^\n;]*(?:=>|\bfunction\b)|\s*(?:async\s*)?\([^;]{0,2000}?\)\s*=>)"
RUST_MAIN = "\nfn main(){ \n } \n"
# Links to the shims of the crates that every HumanEval-X prompt names.
RUST_CRATES = tuple(
    word for crate in ("rand", "regex", "md5") for word in ("--extern", f"{crate}={{seed}}/lib{crate}.rlib")
)


def python_imports(code: str) -> str:
    """The imports that upstream puts before every Python program; numpy only where its name is seen, for it takes
    long to load.
    """
    lines = [f"import {name}" for name in PYTHON_IMPORTS]
    if re.search(r"\b(?:np|numpy)\b", code):
        lines += ["import numpy", "import numpy as np"]
    return "\n".join([*lines, "from typing import *", "from collections import *"]) + "\n"


def codefuse_python_imports(code: str, asked: str = "") -> str:
    """CodeFuseEval's, which has these too. Its `from math import *` would put math.pow in the place of pow. The
    function that is `asked` for is not among them: math's gcd is no answer.
    """
    return python_imports(code) + (
        "from math import *\nfrom builtins import pow\nimport cmath\nimport collections as ct\n"
        "import heapq as hq\nfrom collections import Counter\nfrom copy import deepcopy\n"
        "from heapq import heappop, heappush\nfrom itertools import chain, combinations_with_replacement, groupby\n"
        f"from operator import itemgetter; globals().pop({asked!r}, None)\n"
    )


def cpp_includes(prompt: str) -> str:
    return "".join(f"{line}\n" for line in CPP_INCLUDES if line not in prompt) + "\n"


def inline_tests(
    language: str, test: str, prompt: str = "", setup: str = "", silent: bool = True
) -> InlineTests:
    """What stands around an answer. `setup`: Go's package clause and imports. `silent`: a JavaScript program that
    prints anything fails, as upstream has it. Raises ValueError for a test whose end is not found.
    """
    closed = completion_marker.instrument(language, test)
    check = InlineTests(
        language=language, after=f"\n{closed}", sentinel=completion_marker.SENTINEL, limits=LIMITS
    )
    change: dict[str, object]
    match language:
        case "cpp":
            flags: tuple[str, ...] = ("-std=c++11",)
            everything = prompt + test
            if "openssl/" in everything:
                flags += ("-lcrypto", "-lssl")
            headers = sorted(set(re.findall(r"#include\s*<((?:boost|openssl)/[^>]+)>", everything)))
            change = {"before": cpp_includes(prompt), "flags": flags, "needs": tuple(headers)}
        case "go":
            change = {"before": f"{completion_marker.go_imports(setup)}\n"}
        case "rust":
            change = {"before": RUST_MAIN, "flags": RUST_CRATES}
        case "javascript":
            change = {"files": completion_marker.javascript_files(silent)}
        case _:
            return check
    return check.model_copy(update=change)


def continue_go_program(prompt: str, code: str, setup: str) -> str:
    """Go refuses unused imports: the prompt's are dropped, and those imported whose name the code uses."""
    packages = go_packages(code, setup)
    block = "import (\n" + "    ".join(f'"{package}"\n' for package in packages) + ")\n" if packages else ""
    return block + strip_go_imports(prompt) + code


def go_packages(code: str, setup: str) -> list[str]:
    """The packages that code names outside comments and that the set-up does not import."""
    return [
        package
        for package in GO_PACKAGES
        if f'"{package}"' not in setup
        and re.search(rf"^(?!\s*//).*\b{package.rsplit('/')[-1]}\.", code, re.MULTILINE)
    ]


def strip_go_imports(prompt: str) -> str:
    return re.sub(r"\Aimport \([^)]*\)\n", "", prompt)


def strip_rust_main(code: str) -> str:
    return re.sub(r"^[ \t]*+fn\s+main\s*\(\s*\)\s*\{[^{}]*\}", "", code, flags=re.MULTILINE)


def python_body(code: str) -> str:
    """Up to the first line that is not indented: HumanEval-X's rule for Python completions."""
    kept = []
    for line in code.split("\n"):
        if line.strip() and line[0] not in " \t":
            break
        kept.append(line)
    return "\n".join(kept)


def truncate_completion(language: str, code: str) -> str:
    """Where raw output stops being the function that was asked for (CodeFuseEval's rule)."""
    if language == "python":
        return python_body(code)
    kept = []
    for line in code.split("\n"):
        if language == "cpp" and line.startswith("int main"):
            break
        kept.append(line)
        if language != "cpp" and line.rstrip() in ("}", "};"):
            break
    return "\n".join(kept)


def close_block(language: str, code: str) -> str:
    """Up to where the block that the prompt began is closed, in Java with its class (HumanEvalPack's rule); or else
    where the last block is.
    """
    if language == "python":
        return python_body(code)
    opened = 2 if language == "java" else 1
    for i, char in enumerate(code):
        opened += (char == "{") - (char == "}")
        if opened == 0:
            return code[: i + 1]
    if language == "java" and "public static void main" in code:
        code = code.partition("public static void main")[0] + "}"
    return code[: code.rfind("}") + 1] or code
