"""MultiPL-E's tests as what stands around an answer, language by language (Cassano et al., 2022).

Upstream compiles and runs prompt + completion + newline + tests, and its exit status decides. Here something that
prints SENTINEL stands behind the last expectation, as in completion_marker.py, and the sandbox falsifies
expectations. A language upstream is a row of the sandbox's table (`runs`), save those that no row can run yet.

Differences from upstream: a C# program that ends in an exception fails, and ends where an assertion fails (the recorded
judge looked for failed assertions alone); what a Racket program writes to standard error is no failure; R's rows of
2022, which compare by `identical` and quit, or never call their tests, are run in the form of the later ones; Rust is
edition 2021, D is GDC's; the packages that tests name (javatuples, Test::Deep, luaunit, test/unit) are the project's
own replacements.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from harness.schema import InlineTests, Limits
from harness.tasks.families import completion_marker, single_source

# Upstream has 15 seconds; those that wait are not the program's fault.
LIMITS = Limits(cpu_s=15.0, wall_s=60.0, memory_mb=1024)

# What a call of the function may stand behind, and no definition does.
_NO_CALL = r"(?!(?:return|else|case|throw|await|yield|assert|new)\b)"
_TYPED = _NO_CALL + r"(?:[\w:<>,&*\[\]?.]+[ \t]+)*[\w:<>,&*\[\]?.]+[\s&*]+"
_RETURNS = r"^[ \t]*" + _TYPED
_METHOD = r"(?:^|(?<=\{))[ \t]*" + _TYPED + r"{name}\s*\("  # a class may stand in the same line
# D's attributes and type, and behind the parameters a body, a contract, or the end of what the prompt gives.
_D_TYPED = r"^[ \t]*" + _NO_CALL + r'(?:[\w,*\[\].!()@"]+[ \t]+)*[\w,*\[\].!()@"]+[ \t\n]+'
_D_BODY = r"\s*\((?=[^;{}]*(?:\{|=>|\Z))"


@dataclass(frozen=True)
class TargetLanguage:
    """`runs`: its name in the sandbox's table, "" where there is none, and then `wants` says what would be needed.
    `begins`: how a definition of the function {name} begins. `closed`: the tests begin with the bracket that closes
    the function. `stop`: upstream's, where a row has none.
    """

    word: str
    begins: str
    stop: tuple[str, ...]
    runs: str = ""
    closed: bool = False
    comment: str = "//"
    wants: str = ""

    def definition(self, name: str) -> re.Pattern[str]:
        """What finds the beginning of a function; `name` is a pattern."""
        return re.compile(self.begins.replace("{name}", name), re.MULTILINE)


LANGUAGES: Mapping[str, TargetLanguage] = {
    "cpp": TargetLanguage("C++", _RETURNS + r"{name}\s*\(", ("\n}",), runs="cpp", closed=True),
    "cs": TargetLanguage("C#", _METHOD, ("\n    }\n",), runs="csharp", closed=True),
    "d": TargetLanguage(
        "D",
        rf"(?:{_D_TYPED}{{name}}{_D_BODY}|^[ \t]*(?:alias|enum|auto)\s+{{name}}\s*=)",
        ("\n\n", "\nvoid", "\nbool", "\nint"),
        runs="d",
    ),
    "go": TargetLanguage("Go", r"^func\s+{name}\s*\(", ("\nfunc", "struct", "\n// "), runs="go"),
    "java": TargetLanguage("Java", _METHOD, ("\n    }\n",), runs="java", closed=True),
    "jl": TargetLanguage(
        "Julia", r"function\s+{name}\s*\(", ("\nfunction", "\nmacro", "\n\n"), comment="#", wants="julia"
    ),
    "js": TargetLanguage(
        "JavaScript",
        r"(?:function\s+{name}\s*\(|(?:const|let|var)\s+{name}\s*=" + single_source.JS_FUNCTION + ")",
        ("\nfunction ", "\n/*", "\n//", "\nconsole.log"),
        runs="javascript",
    ),
    "lua": TargetLanguage(
        "Lua",
        r"function\s+{name}\s*\(",
        ("\nlocal", "\nfunction", "\n--", "\n\n"),
        runs="lua",
        comment="--",
    ),
    "php": TargetLanguage(
        "PHP", r"function\s+{name}\s*\(", ("\nfunction", "\n?>", "\n//", "\n#"), runs="php"
    ),
    "pl": TargetLanguage("Perl", r"sub\s+{name}\b", ("\nsub", "\n#", "\n\n"), runs="perl", comment="#"),
    "r": TargetLanguage(
        "R",
        r"(?<![\w.])[\"'`]?{name}[\"'`]?\s*(?:<<?-|=)\s*(?:function\b|\\\s*\()",
        ("\n#", "\n```"),
        runs="r",
        comment="#",
    ),
    "rb": TargetLanguage(
        "Ruby", r"def\s+{name}\b", ("\nclass", "\ndef", "\n#", "\n\n"), runs="ruby", comment="#"
    ),
    "rkt": TargetLanguage(
        "Racket",
        r"\(define\s+(?:\({name}(?=[\s)])|{name}\s+\((?:lambda|λ)\b)",
        ("\n(define ", "\n#|", "\n;", "\n("),
        runs="racket",
        comment=";",
    ),
    "rs": TargetLanguage("Rust", r"fn\s+{name}\s*[<(]", ("\n}",), runs="rust", closed=True),
    "scala": TargetLanguage(
        "Scala",
        r"(?:^|(?<=\{))[ \t]*(?:@[\w.]+\s+)*(?:\w+[ \t]+)*def\s+{name}\s*[\[(]",
        ("\n    }\n",),
        runs="scala",
        closed=True,
    ),
    "sh": TargetLanguage(
        "Bash", r"^[ \t]*(?:function\s+)?{name}\s*\(\)", ("\n}",), runs="bash", closed=True, comment="#"
    ),
    "swift": TargetLanguage("Swift", r"func\s+{name}\s*[<(]", ("\n}",), closed=True, wants="swiftlang"),
    "ts": TargetLanguage(
        "TypeScript",
        r"(?:function\s+{name}\s*[<(]|(?:const|let|var)\s+{name}\s*[=:]" + single_source.JS_FUNCTION + ")",
        ("\nfunction ", "\n/*", "\n//", "\nclass"),
        runs="typescript",
    ),
}

# What rows of 2022 have for R: an expectation that fails says nothing, and some never call their tests.
_R_QUITS = re.compile(r"\bif\s*\(!(identical\(.*\))\)\s*\{\s*quit\('no', 1\)\s*\}")

# Turns assertions on, which upstream does by a flag, before the class with the tests is loaded.
_JAVA = """
class Main {
    static { java.lang.ClassLoader.getSystemClassLoader().setDefaultAssertionStatus(true); }
    public static void main(java.lang.String[] words) throws java.lang.Throwable {
        Problem.main(words);
        java.lang.System.out.println("@@HARNESS_PROOF@@");
    }
}
"""
_RUST = """
#[cfg(test)]
mod harness_proof {
    #[test]
    fn tests() {
        super::main();
        use ::std::io::Write;
        ::std::io::stdout().write_all(b"@@HARNESS_PROOF@@\\n").unwrap();
    }
}
"""


def inline_tests(name: str, tests: str, head: str = "") -> InlineTests:
    """The check of a row. `head`: what stands above the answer (Go's package clause and imports). Raises ValueError
    for tests whose end is not found, and for those of which no expectation is understood: none could be falsified, and
    a pass would prove nothing.
    """
    from harness.sandbox.languages import falsify

    language = LANGUAGES[name].runs
    check = InlineTests(
        language=language,
        before=head,
        after="\n" + _closed(language, tests),
        sentinel=completion_marker.SENTINEL,
        limits=LIMITS,
    )
    if not falsify.expectations(language, check.after):
        raise ValueError(
            "its tests state no expectation in a form that is known, so that any answer would pass"
        )
    change: dict[str, object] = {}
    match language:
        case "cpp":
            change = {"flags": ("-std=c++17",)}
        case "csharp":
            change = {"flags": completion_marker.CSHARP_FLAGS}
        case "go":
            change = {"before": completion_marker.go_imports(head)}
        case "javascript" | "typescript":
            change = {"files": completion_marker.javascript_files(silent=False)}
    return check.model_copy(update=change)


def _closed(language: str, tests: str) -> str:
    match language:
        case "java":
            return tests + _JAVA
        case "rust":
            return tests + _RUST
        case "csharp":
            # An answer that is null as it has to be has no Equals; upstream passes the exception over.
            tests = tests.replace(".Equals(null));", " == null);")
        case "r":
            tests = _R_QUITS.sub(r"stopifnot(\1)", tests)
            if re.search(r"^test_humaneval <-", tests) and not re.search(r"^test_humaneval\(\)", tests, re.M):
                tests = f"{tests.rstrip()}\ntest_humaneval()"
    return completion_marker.instrument(language, tests)
