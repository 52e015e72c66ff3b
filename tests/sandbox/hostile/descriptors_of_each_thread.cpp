// red: {"mode": "io", "mem": 256, "want": ["memory", "error"]}
// Threads that each have descriptors of their own, all of them full sockets.
#include <cstdio>
#include <sched.h>
#include <sys/socket.h>
#include <sys/mman.h>
#include <unistd.h>
static int fill(void *) {
    static char data[1 << 16];
    int pair[2];
    while (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0)
        for (int end : pair)
            while (write(end, data, sizeof data) > 0);
    sleep(20);
    return 0;
}
int main() {
    int started = 0;
    for (int thread = 0; thread < 40; thread++) {
        char *stack = (char *)mmap(0, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        started += clone(fill, stack + (1 << 16), CLONE_VM | CLONE_SIGHAND | CLONE_THREAD, 0) > 0;
    }
    if (!started) return 1;
    sleep(20);
    puts("6");
}
