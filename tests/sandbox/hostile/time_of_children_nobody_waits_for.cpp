// red: {"mode": "io", "cpu": 0.5, "wall": 20, "want": ["timeout"]}
// Its children take six times its CPU time, one after another, and are never waited for.
#include <cstdio>
#include <csignal>
#include <ctime>
#include <unistd.h>
#include <sys/wait.h>
int main() {
    struct sigaction quiet = {};
    quiet.sa_flags = SA_NOCLDWAIT;
    sigaction(SIGCHLD, &quiet, 0);
    int x;
    if (scanf("%d", &x) != 1) return 1;
    for (int i = 0; i < 30; i++) {
        if (fork() == 0) {
            while (clock() < CLOCKS_PER_SEC / 10);
            _exit(0);
        }
        while (waitpid(-1, 0, 0) > 0);
    }
    printf("%d\n", x + 1);
}
