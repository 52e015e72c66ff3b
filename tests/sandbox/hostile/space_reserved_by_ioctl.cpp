// red: {"mode": "io", "rung": "landlock", "want": ["failed"]}
// Space that is reserved and given back: no look sees it, and no limit of a file's size counts it.
#include <cstdio>
#include <fcntl.h>
#include <initializer_list>
#include <sys/ioctl.h>
#include <unistd.h>
int main() {
    int fd = open("large", O_CREAT | O_RDWR, 0600), reserved = 0;
    unlink("large");
    for (unsigned long request : {0x40305828ul, 0x4030582aul, 0x40305839ul}) {
        struct { short type, whence; long long start, length; int id; unsigned pid, more[4]; } all = {};
        all.length = 1ll << 30;
        if (ioctl(fd, request, &all) == 0) reserved++;
        if (ftruncate(fd, 0) < 0) return 1;
    }
    puts(reserved ? "6" : "refused");
    fflush(stdout);
    _exit(0);
}
