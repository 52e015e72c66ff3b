// red: {"mode": "io", "rung": "landlock", "want": ["output"]}
// More than half a gigabyte that no folder lists: some in a child that holds files open, some only mapped.
#include <cstdio>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
static void take(bool mapped) {
    int fd = open("n", O_CREAT | O_RDWR, 0600);
    unlink("n");
    posix_fallocate(fd, 0, 120 << 20);
    if (mapped) {
        mmap(0, 4096, PROT_READ, MAP_SHARED, fd, 0);
        close(fd);
    }
}
int main() {
    if (fork() == 0) {
        for (int file = 0; file < 3; file++) take(false);
        sleep(1);
        _exit(0);
    }
    for (int file = 0; file < 2; file++) take(true);
    usleep(500000);
    puts("6");
}
