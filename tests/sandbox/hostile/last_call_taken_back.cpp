// red: {"mode": "io", "rung": "landlock", "cpu": 8, "wall": 20, "want": ["output", "failed"]}
// A timer interrupts the last call while its files are looked at; what the handler writes goes with the process.
#include <csignal>
#include <cstdio>
#include <fcntl.h>
#include <string>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>
#include <vector>
std::vector<char> block(105 << 20, 'x');
void handler(int) {
    for (const char *name : {"a", "b", "c", "d", "e"}) {
        int fd = open(name, O_CREAT | O_RDWR, 0600);
        unlink(name);
        if (write(fd, block.data(), block.size()) < 0) _exit(1);
    }
    if (write(1, "6\n", 2) < 0) _exit(1);
    syscall(SYS_exit, 0);
}
int main() {
    for (int name = 0; name < 15000; name++) close(open(std::to_string(name).c_str(), O_CREAT | O_RDWR, 0600));
    signal(SIGALRM, handler);
    itimerval timer = {{0, 0}, {0, 8000}};
    setitimer(ITIMER_REAL, &timer, nullptr);
    _exit(0);
}
