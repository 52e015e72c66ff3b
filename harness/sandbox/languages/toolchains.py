"""The toolchains of this machine: where the tools of each language of the table are, their versions, and what programs
may read of the machine to run them.
"""

import glob
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from harness.sandbox.languages.table import LANGUAGES, SHIMS

# Where toolchains keep files that are neither next to their tools nor among the system's libraries.
_SHARED = (
    "/bin",
    "/usr/bin",
    "/usr/include",
    "/usr/local/include",
    "/usr/share/nodejs",
    "/usr/share/go-*",
    "/etc/alternatives",
    "/etc/java-*",
    "/etc/mono",
    "/etc/php",
    "/usr/share/perl*",
    "/usr/share/php*",
    "/usr/share/ruby*",
    "/etc/R",
    "/usr/share/R",
    "/etc/racket",
    "/usr/share/racket",
    "/usr/share/scala*",
    "/usr/share/java",
    "/etc/ssl/openssl.cnf",  # node exits when it exists but cannot be read
)


def shims(language: str) -> dict[str, str]:
    """The files that the `seed` commands start from: relative path -> text."""
    folder = SHIMS / language
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_text(encoding="utf-8") for path in found}


@dataclass(frozen=True)
class Toolchain:
    """A language on this machine: the real paths of its `tools` by name, or the name of the one that is missing."""

    language: str
    tools: Mapping[str, str]
    missing: str = ""

    @property
    def hint(self) -> str:
        """The error message for a machine without it."""
        package = LANGUAGES[self.language].package
        return (
            f"{self.language} programs cannot run here: {self.missing!r} is not in PATH. "
            f"Install it (Debian and Ubuntu: apt-get install {package})."
        )


@cache
def toolchain(language: str) -> Toolchain:
    """Look up the language's tools in PATH, once per process."""
    found: dict[str, str] = {}
    for tool in LANGUAGES[language].tools:
        path = shutil.which(tool)
        if path is None:
            return Toolchain(language, found, tool)
        # A driver may depend on the name it was called by, so the last component stays: g++ is a link to g++-12.
        folder = os.path.realpath(os.path.dirname(path))
        found[tool] = os.path.join(folder, os.path.basename(path))
        if tool == "java" or tool == "javac" or tool == "go":
            found[tool] = os.path.realpath(path)  # they find their home from their real path
        if tool == "rustc":
            found[tool] = _real_rustc(found[tool])
    return Toolchain(language, found)


def _real_rustc(path: str) -> str:
    """rustup's rustc only selects a toolchain, and needs files in the user's home for that."""
    output = subprocess.run([path, "--print", "sysroot"], capture_output=True, text=True, check=False)
    real = os.path.join(output.stdout.strip(), "bin", "rustc")
    return real if output.returncode == 0 and os.path.isfile(real) else path


# Headers that a task's tests may need, and the Debian package of each.
_HEADERS = {"boost/": "libboost-dev", "openssl/": "libssl-dev"}


@cache
def missing_header(header: str) -> str:
    """The error message for a header that this machine lacks; empty where it exists."""
    for folder in ("/usr/include", "/usr/local/include", *glob.glob("/usr/include/*-linux-gnu")):
        if os.path.isfile(os.path.join(folder, header)):
            return ""
    package = next((name for start, name in _HEADERS.items() if header.startswith(start)), "")
    hint = f" (Debian and Ubuntu: apt-get install {package})" if package else ""
    return f"this problem cannot be judged here: its tests need <{header}>{hint}"


def version(language: str) -> str:
    """The first line that the toolchain's version command prints. Raises OSError, subprocess.SubprocessError."""
    row, tools = LANGUAGES[language], toolchain(language).tools
    output = subprocess.run([tools[row.tools[0]], *row.version], capture_output=True, text=True, timeout=60)
    return (output.stdout or output.stderr).strip().split("\n")[0]


@cache
def folders() -> tuple[str, ...]:
    """Every folder and file that this machine's toolchains read; programs get them read-only."""
    found = [path for pattern in _SHARED for path in glob.glob(pattern)]
    for language in LANGUAGES:
        if language != "python":
            for path in toolchain(language).tools.values():
                found.append(_home_of(path))
    real = {os.path.realpath(path) for path in found if os.path.exists(path)}
    return tuple(sorted(path for path in real if not any(_below(path, other) for other in real)))


def environment(language: str) -> dict[str, str]:
    """Environment variables with which programs find the toolchain. Its libraries have to be named: programs have no
    /proc, with which the loader finds libraries relative to an executable.
    """
    tools = toolchain(language).tools.values()
    own = dict.fromkeys(os.path.dirname(path) for path in tools)
    libraries = [path for path in (os.path.join(_home_of(tool), "lib") for tool in tools) if path != "/lib"]
    found = {"PATH": ":".join(dict.fromkeys((*own, "/usr/bin", "/bin")))}
    if libraries := [path for path in dict.fromkeys(libraries) if os.path.isdir(path)]:
        found["LD_LIBRARY_PATH"] = ":".join(libraries)
    return found | dict(LANGUAGES[language].environment)


def _home_of(tool: str) -> str:
    """The folder above `bin`, unless that is the system root, /usr or the user's home."""
    folder = os.path.dirname(tool)
    above = os.path.dirname(folder)
    return folder if above in ("/", "/usr", os.path.expanduser("~")) else above


def _below(path: str, other: str) -> bool:
    return path.startswith(f"{other}/")
