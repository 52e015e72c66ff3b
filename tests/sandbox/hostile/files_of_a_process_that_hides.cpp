// red: {"mode": "io", "rung": "landlock", "want": ["output"]}
// Who runs a file that it may execute and not read is shown to nobody but root: it holds what no folder lists.
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>
#include <vector>
int main(int count, char **words) {
    if (count == 1) {
        int from = open("/proc/self/exe", O_RDONLY);
        if (from < 0) from = open(words[0], O_RDONLY);
        int to = open("hidden", O_CREAT | O_WRONLY, 0111);
        std::vector<char> text(1 << 22);
        if (write(to, text.data(), read(from, text.data(), text.size())) < 0) return 1;
        close(to);
        execl("hidden", "hidden", "x", nullptr);
        return 1;
    }
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
