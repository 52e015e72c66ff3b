"""Instruments a test that stands in the program's own source: it prints a sentinel when it has run to its end.

HumanEval-X, MultiPL-E and their variants compile a candidate together with its tests, so they share a process and the
exit status proves nothing: a candidate that ends the process with 0 would pass. `instrument` puts behind the last
assertion of such a test the printing of SENTINEL. The sandbox replaces SENTINEL by a word made for the build and
expects to see it. A candidate that disarms the assertions, or reads the word out of its own memory, shows it with
falsified tests too (sandbox/languages/falsify.py), and is caught.
"""

import re

SENTINEL = "@@HARNESS_PROOF@@"

_CPP = """
    ::printf("%s\\n", "@@HARNESS_PROOF@@");
"""
# The end of main, with the return that some tests have there.
_CPP_END = re.compile(r"(?:return\s+0\s*;\s*)?\}\s*\Z")
_CPP_MACROS = "\n".join(f"#undef {name}" for name in ("printf", "main", "if", "return", "NDEBUG"))

_JAVA = """
        System.out.println("@@HARNESS_PROOF@@");
"""

_GO = """
    harness_proof_.Done(t, "@@HARNESS_PROOF@@")
"""

_RUST = """
        {
            use ::std::io::Write;
            ::std::io::stdout().write_all(b"@@HARNESS_PROOF@@\\n").unwrap();
        }
"""

# A failed assertion would only be printed.
_CSHARP = """
class HarnessListener : global::System.Diagnostics.TraceListener {
    public override void Write(string text) { }
    public override void WriteLine(string text) { }
    public override void Fail(string text, string more) {
        global::System.Console.Error.WriteLine("Fail: " + text + "\\n" + global::System.Environment.StackTrace);
        global::System.Environment.Exit(1);
    }
}
class HarnessMain {
    static void Main(string[] words) {
        global::System.Diagnostics.Debug.Listeners.Clear();
        global::System.Diagnostics.Debug.Listeners.Add(new HarnessListener());
        Problem.Main(words);
        global::System.Console.Out.WriteLine("@@HARNESS_PROOF@@");
    }
}
"""
CSHARP_FLAGS = ("-main:HarnessMain",)
_LUA_RUNS = "os.exit(lu.LuaUnit.run())"
_LUA = """local code = lu.LuaUnit.run()
if code == 0 then io.write('@@HARNESS_PROOF@@\\n') end
os.exit(code)"""
# The end of the unit tests, behind which upstream has an empty main.
_D_END = re.compile(r"\n\}\s*void main\(\)\s*\{\s*\}\s*\Z")
_D = """
    import core.stdc.stdio : harness_printf_ = printf;
    harness_printf_("%s\\n", "@@HARNESS_PROOF@@".ptr);"""
# A check that fails is only printed, and the program goes on. `harness-unmet` is for falsified tests.
_RACKET_RUNS = "\n(test-humaneval)"
_RACKET = """
(require (prefix-in harness: racket/base))
(harness:define (harness-unmet check)
  (harness:when
    (harness:let/ec out
      (harness:parameterize ([current-check-handler (harness:lambda (failure) (out #f))]) (check))
      #t)
    (harness:exit 1)))
(harness:let ([show (current-check-handler)])
  (harness:parameterize ([current-check-handler (harness:lambda (failure) (show failure) (harness:exit 1))])
    (test-humaneval)))
(harness:void (harness:write-string "\\n@@HARNESS_PROOF@@\\n"))
"""
_RUBY_END = re.compile(r"\n  end\s*end\s*\Z")
_SCALA = """
object HarnessMain {
    def main(words: Array[String]): Unit = {
        Problem.main(words)
        _root_.java.lang.System.out.println("@@HARNESS_PROOF@@")
    }
}
"""
# Behind tests that end the program where an expectation fails.
_BEHIND = {
    "bash": "\nprintf '%s\\n' '@@HARNESS_PROOF@@'\n",
    "php": '\necho "\\n@@HARNESS_PROOF@@\\n";\n',
    "r": "\ncat('\\n@@HARNESS_PROOF@@\\n')\n",
    "perl": '\nprint "\\n@@HARNESS_PROOF@@\\n";\n',
    "csharp": _CSHARP,
    "scala": _SCALA,
    "javascript": "",  # javascript_files tell its end
    "typescript": "",
}


def instrument(language: str, test: str) -> str:
    """A test's text that prints SENTINEL when it ran to its end. Raises ValueError where it has no end to find."""
    match language:
        case "cpp":
            return f"{_CPP_MACROS}\n#include <assert.h>\n{_cpp(test)}"
        case "java":
            return _before_braces(test, 2, _JAVA)
        case "go":
            return _before_braces(test, 1, _GO)
        case "rust":
            return _before_braces(test, 2, _RUST)
        case "lua" if _LUA_RUNS in test:
            return test.replace(_LUA_RUNS, _LUA)
        case "ruby" if found := _RUBY_END.search(test):
            return f"{test[: found.start()]}\n    $stdout.puts '{SENTINEL}'{found[0]}"
        case "racket" if test.rstrip().endswith(_RACKET_RUNS):
            return test.rstrip().removesuffix(_RACKET_RUNS) + _RACKET
        case "d" if found := _D_END.search(test):
            return test[: found.start()] + _D + test[found.start() :]
        case _ if language in _BEHIND:
            return test + _BEHIND[language]
    raise ValueError(f"no way is known to close a test in {language!r}")


def _cpp(test: str) -> str:
    found = _CPP_END.search(test)
    if found is None:
        raise ValueError("the test does not end in 1 closing braces")
    return test[: found.start()].rstrip() + "\n" + _CPP + test[found.start() :]


def _before_braces(text: str, count: int, what: str) -> str:
    """`what` put before the last `count` closing braces, behind which only space may stand."""
    found = re.search(r"(?:\}\s*)+\Z", text)
    if found is None or found[0].count("}") < count:
        raise ValueError(f"the test does not end in {count} closing braces")
    start = len(text.rstrip())
    for _ in range(count):
        start = text.rindex("}", 0, start)
    return text[:start].rstrip() + "\n" + what + text[start:]


# Runs main.js, candidate and test in one module as upstream's `node test.js` does, and prints SENTINEL if the module
# ran to its end, no assertion failed, and nothing was printed: console.assert only prints, and upstream takes any
# output for a failure. The runner's own file is deleted from the disk, and its variables are out of the module's scope.
JAVASCRIPT_RUNNER = """'use strict';
const fs = require('fs');
const path = require('path');
const vm = require('vm');
const Module = require('module');
const { writeSync } = fs;
fs.unlinkSync(__filename);
const file = path.resolve('main.js');
const source = fs.readFileSync(file, 'utf8');
let failed = false;
let printed = false;
let finished = false;
const show = console.error.bind(console);
const fixed = (owner, name, value) =>
  Object.defineProperty(owner, name, { value, writable: false, configurable: false });
fixed(console, 'assert', (condition, ...words) => {
  if (condition) return;
  failed = true;
  show('assertion failed', ...words);
});
fixed(globalThis, 'console', console);
Object.freeze(JSON);
fixed(globalThis, 'JSON', JSON);
for (const stream of [process.stdout, process.stderr]) {
  const write = stream.write.bind(stream);
  stream.write = (...words) => {
    printed = true;
    return write(...words);
  };
}
process.on('exit', (code) => {
  if (finished && code === 0 && !failed && !(SILENT && printed)) writeSync(1, '@@HARNESS_PROOF@@\\n');
  else if (code === 0) process.exitCode = 1;
});
const main = new Module(file, null);
main.filename = file;
main.paths = Module._nodeModulePaths(path.dirname(file));
process.mainModule = main;
const require_ = Module.createRequire(file);
const wrapped = vm.runInThisContext(Module.wrap(source), { filename: file });
wrapped.call(main.exports, main.exports, require_, main, file, path.dirname(file));
finished = true;
"""
# The one package that tests of HumanEval-X ask for.
JAVASCRIPT_MD5 = (
    "module.exports = (text) => require('crypto').createHash('md5').update(text).digest('hex');\n"
)


def javascript_files(silent: bool = True) -> dict[str, str]:
    """What runs a JavaScript test; `silent`: any output is a failure, as upstream has it."""
    runner = JAVASCRIPT_RUNNER.replace("SILENT", "true" if silent else "false")
    return {"harness.js": runner, "node_modules/js-md5/index.js": JAVASCRIPT_MD5}


def go_imports(setup: str) -> str:
    """A test's import block with what `instrument` needs added. Raises ValueError where it imports no testing."""
    if '"testing"' not in setup:
        raise ValueError("the test's set-up does not import testing")
    return setup.replace(
        '"testing"', '"testing"\n    harness_proof_ "github.com/stretchr/testify/harness"', 1
    )
