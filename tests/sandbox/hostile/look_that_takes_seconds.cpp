// red: {"mode": "io", "rung": "landlock", "wall": 10, "want": ["output", "timeout", "passed"]}
// Many processes with all the descriptors they may have: every look at them takes long, and the program only sleeps. Its
// answer is right: it may pass where looks are quick (8.5 s of CPU time without their budget).
#include <cstdio>
#include <fcntl.h>
#include <unistd.h>
int main() {
    for (int child = 0; child < 200; child++) {
        if (fork() == 0) {
            while (open("file", O_CREAT | O_RDWR, 0600) >= 0) {}
            for (;;) pause();
        }
    }
    sleep(8);
    puts("6");
    fflush(stdout);
    _exit(0);
}
