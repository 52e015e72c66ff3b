// red: {"mode": "io", "mem": 256, "want": ["memory", "error", "signal"]}
// Shared pages that it gives back: they stay, and no process is seen to have them.
#include <cstdio>
#include <fcntl.h>
#include <sys/mman.h>
int main() {
    const size_t size = 1024ul << 20;
    char *area = (char *)mmap(0, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (area == MAP_FAILED) {
        int zeros = open("/dev/zero", O_RDWR);
        area = (char *)mmap(0, size, PROT_READ | PROT_WRITE, MAP_SHARED, zeros, 0);
    }
    if (area == MAP_FAILED) return 1;
    for (size_t at = 0; at < size; at += 4096) {
        area[at] = 1;
        if (at % (1 << 20) == 0) madvise(area, at, MADV_DONTNEED);
    }
    puts("6");
}
