// Attacks by the compiler: files that it is made to read.
#include "/etc/shadow"
#include "@CANARY@"
int main() { return 0; }
