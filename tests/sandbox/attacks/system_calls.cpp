// What only a system call can try: other processes, namespaces, mounts, sockets, memory that no limit counts.
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

static void got(bool through, const char *what) { if (through) printf("BREACH %s\n", what); }

int main() {
    pid_t judge = @PID@, parent = getppid();
    got(socket(AF_INET, SOCK_STREAM, 0) >= 0, "socket");
    got(socket(AF_UNIX, SOCK_STREAM, 0) >= 0, "unix socket");
    got(ptrace(PTRACE_ATTACH, judge, 0, 0) == 0, "ptrace judge");
    got(ptrace(PTRACE_SEIZE, parent, 0, 0) == 0, "ptrace parent");
    got(kill(judge, 0) == 0, "signal the judge");
    got(unshare(CLONE_NEWUSER) == 0, "unshare");
    got(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0) >= 0, "clone with a namespace");
    long sibling = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);
    if (sibling == 0) _exit(0);
    got(sibling > 0, "clone of a child of the parent");
    got(mount("none", "/tmp", "tmpfs", 0, 0) == 0, "mount");
    got(syscall(SYS_memfd_create, "x", 0) >= 0, "memfd");
    got(shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600) >= 0, "shmget");
    got(syscall(SYS_bpf, 0, 0, 0) == 0, "bpf");
    got(syscall(425, 8, 0) >= 0, "io_uring");
    got(setuid(0) == 0, "setuid");
    got(chroot("/tmp") == 0, "chroot");
    struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
    got(setrlimit(RLIMIT_DATA, &all) == 0, "raise a limit");
    got(prlimit(parent, RLIMIT_NOFILE, &all, 0) == 0, "limits of the parent");
    char byte; struct iovec one = {&byte, 1};
    got(process_vm_readv(parent, &one, 1, &one, 1, 0) > 0, "memory of the parent");
    for (int fd = 3; fd < 1024; fd++) got(fcntl(fd, F_GETFD) != -1, "an inherited descriptor");
    got(open("/proc/self/mem", O_RDWR) >= 0, "proc");
    return 0;
}
