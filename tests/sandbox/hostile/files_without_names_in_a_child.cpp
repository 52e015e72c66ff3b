// red: {"mode": "io", "rung": "landlock", "want": ["output"]}
// More than half a gigabyte that no folder lists: some in a child that holds files open, some only mapped.
#include <cstdio>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
static void take(const char *name, bool mapped) {
    int fd = open(name, O_CREAT | O_EXCL | O_RDWR, 0600);
    unlink(name);
    posix_fallocate(fd, 0, 120 << 20);
    if (mapped) {
        mmap(0, 4096, PROT_READ, MAP_SHARED, fd, 0);
        close(fd);
    }
}
int main() {
    int ends[2];
    char byte = 0;
    if (pipe(ends)) return 1;
    if (fork() == 0) {
        for (int file = 0; file < 3; file++) take("child", false);
        if (write(ends[1], &byte, 1) != 1) _exit(1);
        sleep(5);
        _exit(0);
    }
    for (int file = 0; file < 2; file++) take("parent", true);
    if (read(ends[0], &byte, 1) != 1) return 1;  // both have them at the same time, on a slow disk too
    sleep(1);
    puts("6");
}
