"""What models write behind the fence of a code block, and which language each word stands for."""

from collections.abc import Mapping

# Canonical name -> the words, in lower case.
ALIASES: Mapping[str, frozenset[str]] = {
    name: frozenset(words.split())
    for name, words in {
        "python": "python py python2 python3 py2 py3 python3.x pycon python-repl ipython ipython3 sage",
        "javascript": "javascript js node nodejs jsx mjs cjs ecmascript",
        "typescript": "typescript ts tsx",
        "java": "java",
        "cpp": "cpp c++ cxx cc c h hpp cplusplus c++11 c++14 c++17 c++20",
        "csharp": "csharp cs c#",
        "go": "go golang",
        "rust": "rust rs",
        "php": "php",
        "ruby": "ruby rb",
        "kotlin": "kotlin kt",
        "swift": "swift",
        "scala": "scala",
        "r": "r",
        "julia": "julia jl",
        "perl": "perl pl",
        "lua": "lua",
        "haskell": "haskell hs",
        "d": "d dlang",
        "racket": "racket rkt",
        "sql": "sql sqlite sqlite3 mysql mariadb postgresql postgres psql plsql pgsql tsql bigquery",
        "shell": "bash sh shell zsh fish console terminal shell-session shellsession sh-session cmd bat batch "
        "powershell ps1 pwsh dos",
        "data": "text txt plaintext plain output out stdout stderr log json jsonl yaml yml toml ini xml html css "
        "csv tsv diff patch latex tex math mermaid http traceback pytb error input pseudocode dockerfile makefile",
        "markdown": "markdown md mdx",
    }.items()
}
_LANGUAGE: Mapping[str, str] = {word: name for name, words in ALIASES.items() for word in words}


def language_of(word: str) -> str:
    """The language that a word behind a fence names; empty where it names none that is known."""
    return _LANGUAGE.get(word.lower(), "")
