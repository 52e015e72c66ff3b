"""The languages that the sandbox runs, one row each: files, compile and run commands, tools and Debian package.

Python programs run in forks of a prewarmed interpreter (python/child.py); `python` is here for completeness. Programs
in other languages are compiled and run by command (languages/worker.py).

Placeholders in commands: {source}; {memory} (MB); {home}, the program's folder, in which it runs; {seed}, the folder
that the commands in `seed` filled; {flags}, the task's own words, any number. The first word of a command is a tool,
looked up once in the controller's PATH (toolchains.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

Command = tuple[str, ...]


@dataclass(frozen=True)
class Language:
    """`tests`: compile commands of a program that contains its own tests; `test_source` and `test_run`: its source file
    and run command where they differ. `tools`: `version` makes the first one print its version. `products`: of what was
    built, what it takes to run; all else is gone then. `overhead_mb`: what the
    runtime needs in addition to the program's memory. `files`: written next to each program that has no file of that
    name. `seed`: commands run once, unconfined, in {seed}, a copy of the language's folder in shims/; all programs may
    read what they leave there. `failed` and `memory`: what a runtime prints when an assertion fails or memory runs out;
    used only to name the status of a program that has not passed.
    """

    source: str
    run: Command
    tools: tuple[str, ...]
    package: str
    version: Command = ("--version",)
    products: tuple[str, ...] = ("program",)
    compile: tuple[Command, ...] = ()
    tests: tuple[Command, ...] = ()
    test_source: str = ""
    test_run: Command = ()
    files: Mapping[str, str] = field(default_factory=dict)
    seed: tuple[Command, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    overhead_mb: int = 32
    failed: str = ""
    memory: str = ""


# Replacements, written for this project, of packages that benchmarks' tests import, so that nothing is downloaded.
SHIMS = Path(__file__).parent / "shims"


def _shim(name: str) -> str:
    return (SHIMS / name).read_text(encoding="utf-8")


_STACK = str(SHIMS / "csharp" / "stack.c")

_JVM = ("-XX:+UseSerialGC", "-XX:-UsePerfData", "-XX:TieredStopAtLevel=1")

_TUPLES = tuple(f"org/javatuples/{name}.java" for name in ("Tuple", "Pair", "Triplet", "Quartet", "Quintet"))

# The checks that `go test` runs before it builds a test; without them a test may build here that does not build
# upstream (https://pkg.go.dev/cmd/go, "Test packages").
_VET = (
    "-atomic",
    "-bool",
    "-buildtags",
    "-errorsas",
    "-ifaceassert",
    "-nilfunc",
    "-printf",
    "-stringintconv",
)

# A program that does not compile by the clock can refuse just the builds with falsified tests.
_NO_CLOCK = (
    "-Wno-builtin-macro-redefined",
    '-D__TIME__="00:00:00"',
    '-D__DATE__="Jan  1 2000"',
    '-D__TIMESTAMP__="Sat Jan  1 00:00:00 2000"',
)

# The linker that newer versions ship looks for its own parts in /proc.
_RUSTC = ("rustc", "--edition", "2021", "-A", "warnings", "-C", "link-arg=-fuse-ld=bfd")

LANGUAGES: Mapping[str, Language] = {
    "python": Language(source="program.py", run=(), tools=("python3",), package="python3"),
    "java": Language(
        source="Main.java",
        compile=(
            (
                "javac",
                *(f"-J{flag}" for flag in _JVM),
                "-encoding",
                "UTF-8",
                "-proc:none",
                "-nowarn",
                "{source}",
            ),
        ),
        run=("java", "-XX:+UseSerialGC", "-XX:-UsePerfData", "-Xmx{memory}m", "Main"),
        seed=(("javac", "-proc:none", "-d", "{seed}", *_TUPLES),),
        environment={"CLASSPATH": ".:{seed}"},
        tools=("javac", "java"),
        package="default-jdk-headless",
        products=("*.class",),
        overhead_mb=256,
        failed="AssertionError|did not pass",
        memory="java.lang.OutOfMemoryError|insufficient memory for the Java Runtime",
    ),
    "cpp": Language(
        source="main.cpp",
        compile=(("g++", *_NO_CLOCK, "-o", "program", "{source}", "{flags}"),),
        run=("./program",),
        tools=("g++", "as", "ld"),
        package="g++",
        failed="Assertion .* failed|did not pass",
        memory="std::bad_alloc",
    ),
    "javascript": Language(
        source="main.js",
        run=("node", "--max-old-space-size={memory}", "{source}"),
        test_run=("node", "--max-old-space-size={memory}", "harness.js"),
        tools=("node",),
        package="nodejs",
        overhead_mb=192,
        failed="assertion failed|AssertionError",
        memory="JavaScript heap out of memory|Allocation failed|Array buffer allocation failed",
    ),
    "go": Language(
        source="main.go",
        compile=(("go", "build", "-o", "program", "."),),
        tests=(("go", "vet", *_VET, "."), ("go", "test", "-vet=off", "-c", "-o", "program", ".")),
        test_source="main_test.go",
        run=("./program",),
        tools=("go",),
        version=("version",),
        package="golang-go",
        files={"go.mod": _shim("go/go.mod")},
        seed=(("go", "vet", *_VET, "."), ("go", "test", "-vet=off", "-c", "-o", "{seed}/discard", ".")),
        environment={
            "GOCACHE": "{seed}/cache",
            "GOPATH": "{home}/.gopath",
            "GODEBUG": "goindex=0",  # the package index needs to write to the cache
            "GOPROXY": "off",
            "GOTOOLCHAIN": "local",
            "GOFLAGS": "-mod=mod",
            "GOTELEMETRY": "off",
            "CGO_ENABLED": "0",
            "GOSUMDB": "off",
        },
        overhead_mb=64,
        failed="--- FAIL",
        memory="out of memory|cannot allocate memory",
    ),
    "rust": Language(
        source="main.rs",
        compile=((*_RUSTC, "-o", "program", "{source}"),),
        tests=((*_RUSTC, "--test", "-o", "program", "{source}", "{flags}"),),
        run=("./program",),
        seed=tuple(
            (
                *_RUSTC,
                "-O",
                "--crate-type",
                "rlib",
                "--crate-name",
                crate,
                "-o",
                f"lib{crate}.rlib",
                f"{crate}.rs",
            )
            for crate in ("rand", "regex", "md5")
        ),
        # One thread: the order of the tests is then the same in every run.
        test_run=("./program", "--test-threads=1"),
        tools=("rustc", "cc"),
        package="rustc",
        failed="panicked at .*assertion|assertion .*failed",
        memory="memory allocation of",
    ),
    "bash": Language(source="main.sh", run=("bash", "{source}"), tools=("bash",), package="bash"),
    "typescript": Language(
        source="main.ts",
        compile=(("tsc", "--target", "es2022", "--module", "commonjs", "{source}"),),
        run=("node", "--max-old-space-size={memory}", "main.js"),
        test_run=("node", "--max-old-space-size={memory}", "harness.js"),
        tools=("tsc", "node"),
        package="node-typescript",
        products=("*.js",),
        overhead_mb=192,
        failed="assertion failed|AssertionError",
        memory="JavaScript heap out of memory|Allocation failed|Array buffer allocation failed",
    ),
    "csharp": Language(
        source="Program.cs",
        compile=(("mcs", "-d:DEBUG", "-r:System.Numerics.dll", "{flags}", "-out:program.exe", "{source}"),),
        run=("mono", "program.exe"),
        tools=("mcs", "mono", "cc"),
        package="mono-mcs gcc",
        seed=(("cc", "-shared", "-fPIC", "-o", "{seed}/stack.so", "stack.c", "-ldl"),),
        environment={"LD_PRELOAD": "{seed}/stack.so"},
        products=("program.exe",),
        overhead_mb=128,
        failed="^Fail",
        memory="OutOfMemoryException|out of memory",
    ),
    "php": Language(
        source="main.php",
        run=("php", "-d", "memory_limit={memory}M", "{source}"),
        tools=("php",),
        package="php-cli",
        overhead_mb=64,
        failed="Test failed!",
        memory="Allowed memory size",
    ),
    "perl": Language(
        source="main.pl",
        run=("perl", "-I.", "{source}"),
        tools=("perl",),
        package="perl",
        files={"Test/Deep.pm": _shim("perl/Deep.pm")},
        failed="did not pass",
        memory="Out of memory",
    ),
    "lua": Language(
        source="main.lua",
        run=("lua5.4", "{source}"),
        tools=("lua5.4",),
        package="lua5.4",
        version=("-v",),
        files={"luaunit.lua": _shim("lua/luaunit.lua")},
        failed="expected: ",
        memory="not enough memory",
    ),
    "ruby": Language(
        source="main.rb",
        run=("ruby", "-I.", "{source}"),
        tools=("ruby",),
        package="ruby",
        files={"test/unit.rb": _shim("ruby/unit.rb")},
        overhead_mb=64,
        failed="expected: ",
        memory="NoMemoryError|failed to allocate memory",
    ),
    "d": Language(
        source="main.d",
        compile=(("gdc", "-o", "program", "{source}"),),
        tests=(("gdc", "-funittest", "-o", "program", "{source}"),),
        run=("./program",),
        tools=("gdc", "as", "ld"),
        package="gdc",
        # Its collector of garbage too asks where the stack lies.
        seed=(("gdc", "-shared", "-fPIC", "-nophoboslib", "-o", "{seed}/stack.so", _STACK, "-ldl"),),
        # The second is what the compiler says the time is.
        environment={"LD_PRELOAD": "{seed}/stack.so", "SOURCE_DATE_EPOCH": "0"},
        failed="unittest failure|AssertError",
        memory="OutOfMemoryError|Memory allocation failed",
    ),
    "r": Language(
        source="main.r",
        run=("Rscript", "--vanilla", "{source}"),
        tools=("Rscript",),
        package="r-base-core",
        overhead_mb=128,
        failed="(?:is not|are not all) TRUE",
        memory="cannot allocate (?:vector|memory)",
    ),
    "racket": Language(
        source="main.rkt",
        run=("racket", "{source}"),
        tools=("racket",),
        package="racket",
        overhead_mb=192,
        failed="^FAILURE",
        memory="out of memory",
    ),
    "scala": Language(
        source="Main.scala",
        compile=(("scalac", "-nowarn", "-encoding", "UTF-8", "-d", ".", "{source}"),),
        run=("scala", "-J-Xmx{memory}m", "-cp", ".", "Main"),
        test_run=("scala", "-J-Xmx{memory}m", "-cp", ".", "HarnessMain"),
        tools=("scalac", "scala", "java"),
        package="scala",
        version=("-version",),
        environment={"JAVA_OPTS": " ".join(_JVM)},
        products=("*.class",),
        overhead_mb=256,
        failed="AssertionError",
        memory="java.lang.OutOfMemoryError|insufficient memory for the Java Runtime",
    ),
}
