// red: {"mode": "io", "want": ["failed"]}
// A child that is made its parent's is below nothing that is watched, and its end is told as the program's own.
#include <cstdio>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>
int main() {
    long child = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);
    if (child == 0) _exit(0);
    usleep(50000);
    puts(child > 0 ? "6" : "refused");
    fflush(stdout);
    _exit(0);
}
