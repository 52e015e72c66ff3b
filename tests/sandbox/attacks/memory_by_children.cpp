// Each process stays below the limit, all together do not.
#include <stdlib.h>
#include <string.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
int main() {
    for (int i = 0; i < 12; i++)
        if (fork() == 0) {
            char *block = (char *)mmap(0, 100 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
            memset(block, 1, 100 << 20);
            pause();
        }
    sleep(3);
    puts("BREACH more memory than allowed");
    return 0;
}
