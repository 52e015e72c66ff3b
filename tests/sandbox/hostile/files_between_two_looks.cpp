// red: {"mode": "io", "rung": "landlock", "want": ["output"]}
// Many names make each look take long; the files without one are written after it, and gone with the process.
#include <cstdio>
#include <fcntl.h>
#include <string>
#include <unistd.h>
#include <vector>
int main() {
    for (int name = 0; name < 8000; name++) close(open(std::to_string(name).c_str(), O_CREAT | O_RDWR, 0600));
    usleep(300000);
    std::vector<char> block(105 << 20, 'x');
    for (const char *name : {"a", "b", "c", "d", "e"}) {
        int fd = open(name, O_CREAT | O_RDWR, 0600);
        unlink(name);
        if (write(fd, block.data(), block.size()) < 0) return 1;
    }
    puts("6");
    fflush(stdout);
    _exit(0);
}
