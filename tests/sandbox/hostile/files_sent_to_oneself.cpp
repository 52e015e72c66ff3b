// red: {"mode": "io", "rung": "landlock", "want": ["output", "error"]}
// Files on their way through a socket are in no folder and no descriptor.
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>
int main() {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_DGRAM, 0, ends)) return 1;
    std::vector<char> block(105 << 20, 'x');
    for (const char *name : {"a", "b", "c", "d", "e"}) {
        int fd = open(name, O_CREAT | O_RDWR, 0600);
        unlink(name);
        char byte = 0, space[CMSG_SPACE(sizeof fd)];
        iovec data = {&byte, 1};
        msghdr message = {};
        message.msg_iov = &data, message.msg_iovlen = 1;
        message.msg_control = space, message.msg_controllen = sizeof space;
        cmsghdr *head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET, head->cmsg_type = SCM_RIGHTS, head->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(head), &fd, sizeof fd);
        if (sendmsg(ends[0], &message, 0) < 0) return 1;
        if (write(fd, block.data(), block.size()) < 0) return 1;
        close(fd);
    }
    puts("6");
}
