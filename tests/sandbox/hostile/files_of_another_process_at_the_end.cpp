// red: {"mode": "io", "rung": "landlock", "cpu": 8, "wall": 20, "want": ["output", "failed"]}
// While the last call waits and the files are looked at, another process writes more; it goes with the program.
#include <cstdio>
#include <fcntl.h>
#include <string>
#include <unistd.h>
#include <vector>
int main() {
    for (int name = 0; name < 15000; name++) close(open(std::to_string(name).c_str(), O_CREAT | O_RDWR, 0600));
    std::vector<char> block(100 << 20, 'x');
    int fd = -1;
    for (const char *name : {"a", "b", "c", "d", "e"}) {
        fd = open(name, O_CREAT | O_RDWR, 0600);
        unlink(name);
        if (write(fd, block.data(), block.size()) < 0) return 1;
    }
    usleep(300000);
    if (fork() == 0) {
        usleep(5000);
        if (write(fd, block.data(), 20 << 20) < 0 || write(1, "6\n", 2) < 0) _exit(1);
        pause();
    }
    _exit(0);
}
