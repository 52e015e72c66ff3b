// red: {"mode": "io", "mem": 256, "want": ["memory"]}
// Full sockets: memory of the kernel, which no process is seen to have.
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>
int main() {
    static char data[1 << 16];
    for (int child = 0; child < 40; child++) {
        if (fork() == 0) {
            int pair[2];
            while (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0)
                for (int end : pair)
                    while (write(end, data, sizeof data) > 0);
            sleep(20);
        }
    }
    sleep(20);
    puts("6");
}
