// red: {"mode": "io", "mem": 256, "want": ["memory"]}
// One page read in every two megabytes of what is not there: no memory of its own, 4 KB of the kernel's each.
#include <cstdio>
#include <sys/mman.h>
int main() {
    const size_t step = 2ul << 20, size = step * 400000;
    volatile char *area = (char *)mmap(0, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (area == MAP_FAILED) return 1;
    char sum = 0;
    for (size_t at = 0; at < size; at += step) sum += area[at];
    printf("%d\n", 6 + sum);
}
