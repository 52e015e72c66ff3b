// red: {"mode": "io", "want": ["error"]}
// One line in which the words of an assertion begin again and again.
#include <cstdio>
int main() {
    for (int i = 0; i < 24000; i++) fputs("Assertion ", stderr);
    return 1;
}
