"""Programs in every language, for the tests of languages: one small task each, right, and what else they do."""

from collections.abc import Mapping

from harness.sandbox.languages import toolchains
from harness.schema import Limits, Program
from harness.tasks.families import completion_marker

LIMITS = Limits(cpu_s=0.7, wall_s=2.0, memory_mb=256, output_kb=64)
# For those that take most of that to start.
SLOW = dict.fromkeys(("racket", "scala"), LIMITS.model_copy(update={"cpu_s": 3.0, "wall_s": 10.0}))
SUFFIX = {"cpp": "cpp", "java": "java", "javascript": "js", "go": "go", "rust": "rs", "bash": "sh"}
SUFFIX |= {"typescript": "ts", "csharp": "cs", "php": "php", "perl": "pl", "lua": "lua", "ruby": "rb"}
SUFFIX |= {"d": "d", "r": "r", "racket": "rkt", "scala": "scala"}
LANGUAGE = {suffix: language for language, suffix in SUFFIX.items()}

# Candidates for `solve` (one more than the square), and the test that upstream's rows would have.
RIGHT = {
    "cpp": "#include<stdlib.h>\n#include<stdio.h>\nint solve(int x){ return x*x+1; }\n",
    "java": "import java.util.*;\nclass Solution { int solve(int x) { return x*x+1; } }\n",
    "go": 'package main\nimport (\n    "testing"\n    "github.com/stretchr/testify/assert"\n)\n'
    "func Solve(x int) int { return x*x+1 }\n",
    "rust": "fn main(){}\nfn solve(x: i32) -> i32 { x*x+1 }\n",
    "javascript": "const solve = (x) => x*x+1\n",
    "bash": "solve() {\n    echo $(($1*$1+1))\n",
    "typescript": "function solve(x: number): number { return x*x+1 }\n",
    "csharp": "using System;\nusing System.Diagnostics;\nclass Problem {\n"
    "    public static long Solve(long x) { return x*x+1;\n",
    "php": "<?php\nfunction solve($x) { return $x*$x+1; }\n",
    "perl": "sub solve { my($x) = @_; return $x*$x+1 }\n",
    "lua": "local function solve(x) return x*x+1 end\n",
    "ruby": "def solve(x) x*x+1 end\n",
    "d": "import std.math;\nlong solve(long x)\n{ return x*x+1; }\n",
    "r": "solve <- function(x) {\n  x*x+1\n}\n",
    "racket": "#lang racket\n\n(define (solve x)\n  (add1 (* x x)))\n",
    "scala": "import scala.math._\nobject Problem {\n    def solve(x : Long) : Long = {\n        x*x+1\n",
}
TESTS = {
    "cpp": "#undef NDEBUG\n#include<assert.h>\n"
    "int main(){\n    assert (solve(2)==5);\n    assert (solve(10)==101);\n}\n",
    "java": """public class Main {
    public static void main(String[] args) {
        Solution s = new Solution();
        List<Boolean> correct = Arrays.asList(s.solve(2) == 5, s.solve(10) == 101);
        if (correct.contains(false)) {
            throw new AssertionError();
        }
    }
}""",
    "go": "func TestSolve(t *testing.T) {\n    assert := assert.New(t)\n    assert.Equal(5, Solve(2))\n"
    "    assert.Equal(101, Solve(10))\n}\n",
    "rust": "\n#[cfg(test)]\nmod tests {\n    use super::*;\n\n#[test]\n    fn test_solve() {\n"
    "        assert_eq!(solve(2), 5);\n        assert!(solve(10) == 101);\n    }\n\n}\n",
    "javascript": "const testSolve = () => {\n  console.assert(solve(2) === 5)\n"
    "  console.assert(solve(10) === 101)\n}\n\n"
    "testSolve()\n",
    "bash": '}\n\ncandidate() {\n    solve "$@"\n}\n\nset -e\nrun_test() {\n    [[ $(candidate 2) = "5" ]]\n'
    '    [[ $(candidate 10) = "101" ]]\n}\n\nrun_test',
    "typescript": "declare var require: any;\nconst assert = require('node:assert');\n\nfunction test() {\n"
    "  assert.deepEqual(solve(2),5);\n  assert.deepEqual(solve(10),101);\n}\n\ntest();",
    "csharp": "    }\n    public static void Main(string[] args) {\n    Debug.Assert(Solve((2L)) == (5L));\n"
    "    Debug.Assert(Solve((10L)) == (101L));\n    }\n\n}\n",
    "php": "function test(): void {\n"
    '    if (solve(2) !== 5) { throw new Exception("Test failed!"); }\n'
    '    if (solve(10) !== 101) { throw new Exception("Test failed!"); }\n}\n\ntest();',
    "perl": "use Test::Deep;\n\nsub testhumaneval {\n"
    '        if(eq_deeply(solve(2),5)) {\n        print "ok!" }else{\n        exit 1;\n        }\n'
    '        if(eq_deeply(solve(10),101)) {\n        print "ok!" }else{\n        exit 1;\n        }\n'
    "}\n\ntesthumaneval();",
    "lua": "lu = require('luaunit')\n\nfunction test_humaneval()\n    lu.assertEquals(solve(2), 5)\n"
    "    lu.assertEquals(solve(10), 101)\nend\n\nos.exit(lu.LuaUnit.run())",
    "ruby": "require 'test/unit'\nclass TestHumanEval < Test::Unit::TestCase\n  def test_solve\n"
    "    assert_equal(5, solve(2))\n    assert_equal(101, solve(10))\n  end\nend\n",
    "d": "unittest\n{\n    alias candidate = solve;\n\n    assert(candidate(2L) == 5L);\n"
    "    assert(candidate(10L) == 101L);\n}\nvoid main(){}",
    "r": "test_humaneval <- function() {\n    candidate <- solve\n"
    "    stopifnot(isTRUE(all.equal(candidate(2), 5)))\n"
    "    stopifnot(isTRUE(all.equal(candidate(10), 101)))\n}\ntest_humaneval()",
    "racket": "(require rackunit)\n\n(define (test-humaneval) \n\n  (let (( candidate solve))\n"
    "    (check-within (candidate 2) 5 0.001)\n    (check-within (candidate 10) 101 0.001)\n))\n\n(test-humaneval)",
    "scala": "    }\n    def main(args: Array[String]) = {\n    assert(solve((2l)) == (5l));\n"
    "    assert(solve((10l)) == (101l));\n    }\n\n}\n",
}

# Whole programs: 42 read from standard input, 43 printed.
ADDS = {
    "cpp": '#include <iostream>\nint main() { int x; std::cin >> x; std::cout << x + 1 << "\\n"; }',
    "java": "import java.util.*;\npublic class Main { public static void main(String[] a) {"
    " System.out.println(new Scanner(System.in).nextInt() + 1); } }",
    "go": 'package main\nimport "fmt"\nfunc main() { var x int; fmt.Scan(&x); fmt.Println(x + 1) }',
    "rust": "use std::io;\nfn main() { let mut s = String::new(); io::stdin().read_line(&mut s).unwrap();"
    ' println!("{}", s.trim().parse::<i64>().unwrap() + 1); }',
    "javascript": "console.log(Number(require('fs').readFileSync(0, 'utf8')) + 1)",
    "bash": "read x; echo $((x + 1))",
    "typescript": "declare var require: any;\nconst x: number = Number(require('fs').readFileSync(0, 'utf8'));\n"
    "console.log(x + 1)",
    "csharp": "class Adds { static void Main() {"
    " System.Console.WriteLine(int.Parse(System.Console.ReadLine()) + 1); } }",
    "php": "<?php echo intval(fgets(STDIN)) + 1, PHP_EOL;",
    "perl": 'print <STDIN> + 1, "\\n"',
    "lua": "print(io.read('n') + 1)",
    "ruby": "puts gets.to_i + 1",
    "d": 'import std.stdio;\nvoid main() { int x; readf!"%d"(x); writeln(x + 1); }',
    "r": "cat(as.integer(readLines(file('stdin'), 1)) + 1, '\\n', sep = '')",
    "racket": "#lang racket\n(displayln (add1 (read)))",
    "scala": "object Main { def main(a: Array[String]): Unit = println(scala.io.StdIn.readInt() + 1) }",
}
LOOPS = {
    "cpp": "int main() { volatile int x = 0; for (;;) x++; }",
    "java": "public class Main { public static void main(String[] a) { for (long x = 0; ; x++); } }",
    "go": "package main\nfunc main() { for x := 0; ; x++ { } }",
    "rust": "fn main() { let mut x = 0u64; loop { x = std::hint::black_box(x.wrapping_add(1)); } }",
    "javascript": "for (;;);",
    "bash": "while :; do :; done",
}
HOGS = {
    "cpp": "#include <vector>\nint main() { std::vector<std::vector<int>> all;"
    " for (;;) all.push_back(std::vector<int>(1 << 20, 1)); }",
    "java": "import java.util.*;\npublic class Main { public static void main(String[] a) {"
    " List<int[]> all = new ArrayList<>(); for (;;) all.add(new int[1 << 20]); } }",
    "go": "package main\nvar all [][]byte\nfunc main() { for { b := make([]byte, 1<<22);"
    " for i := range b { b[i] = 1 }; all = append(all, b) } }",
    "rust": "fn main() { let mut all = Vec::new(); loop { all.push(vec![1u8; 1 << 22]); } }",
    "javascript": "const all = []; for (;;) all.push(new Array(1 << 18).fill(1))",
    "bash": "x=xxxxxxxxxxxxxxxx; while :; do x=$x$x; done",
    "typescript": "const all: number[][] = []; for (;;) { const b = new Array(1 << 18);"
    " for (let i = 0; i < b.length; i++) b[i] = 1; all.push(b); }",
    "csharp": "using System.Collections.Generic;\nclass Hogs { static void Main() { var all = new List<int[]>();"
    " for (;;) { var b = new int[1 << 20]; for (int i = 0; i < b.Length; i++) b[i] = 1; all.Add(b); } } }",
    "php": "<?php $all = []; for (;;) $all[] = str_repeat('x', 1 << 20);",
    "perl": "my @all; push @all, 'x' x (1 << 20) while 1",
    "lua": "local all = {} while true do all[#all + 1] = string.rep('x', 2^20) .. #all end",
    "ruby": "all = []; loop { all << 'x' * (1 << 20) }",
    "d": "void main() { int[][] all; for (;;) { auto b = new int[1 << 20]; b[] = 1; all ~= b; } }",
    "r": "all <- list(); repeat all[[length(all) + 1]] <- rep(1, 2^18)",
    "racket": "#lang racket\n(let more ([all '()]) (more (cons (make-bytes (expt 2 20) 1) all)))",
    "scala": "object Main { def main(a: Array[String]): Unit = {"
    " var all = List[Array[Int]](); while (true) all = new Array[Int](1 << 20) :: all } }",
}
FLOODS = {
    "cpp": '#include <stdio.h>\nint main() { for (;;) puts("flood"); }',
    "java": 'public class Main { public static void main(String[] a) { for (;;) System.out.println("flood"); } }',
    "go": 'package main\nimport "fmt"\nfunc main() { for { fmt.Println("flood") } }',
    "rust": 'fn main() { loop { println!("flood"); } }',
    "javascript": "for (;;) require('fs').writeSync(1, 'flood\\n'.repeat(1000))",
    "bash": "while :; do echo flood; done",
    "typescript": "for (;;) console.log('flood')",
    "csharp": 'class Floods { static void Main() { for (;;) System.Console.WriteLine("flood"); } }',
    "php": '<?php for (;;) echo "flood\\n";',
    "perl": 'print "flood\\n" while 1',
    "lua": "while true do print('flood') end",
    "ruby": "loop { puts 'flood' }",
    "d": 'import std.stdio;\nvoid main() { for (;;) writeln("flood"); }',
    "r": "repeat cat('flood\\n')",
    "racket": "#lang racket\n(let more () (displayln 'flood) (more))",
    "scala": 'object Main { def main(a: Array[String]): Unit = while (true) println("flood") }',
}
RUNNER = completion_marker.javascript_files()
FILES: Mapping[str, Mapping[str, str]] = {"javascript": RUNNER, "typescript": RUNNER}
FLAGS = {"cpp": ("-std=c++11",), "csharp": completion_marker.CSHARP_FLAGS}
# What continuous integration does not install; where it lacks, no test is missed that has to run there.
OPTIONAL = ("typescript", "csharp", "d", "r", "racket", "scala")


def whole(language: str, code: str, stdin: str = "", limits: Limits | None = None) -> Program:
    limits = limits or SLOW.get(language, LIMITS)
    return Program(code=code, language=language, stdin=stdin, limits=limits)


def with_test(language: str, code: str, limits: Limits | None = None) -> Program:
    """A candidate with its test behind it, as a task puts them together."""
    if language == "go":
        code = completion_marker.go_imports(code)
    return Program(
        code=code + "\n" + completion_marker.instrument(language, TESTS[language]),
        tests_start=len(code),
        language=language,
        sentinel=completion_marker.SENTINEL,
        files=FILES.get(language, {}),
        flags=FLAGS.get(language, ()),
        limits=limits or SLOW.get(language, LIMITS),
    )


def missing(language: str) -> str:
    """Why this machine can't run the language, or nothing."""
    tools = toolchains.toolchain(language)
    more = " CI does without it." if language in OPTIONAL else ""
    return tools.hint + more if tools.missing else ""
