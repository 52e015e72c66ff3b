import core.stdc.stdlib, core.sys.posix.signal, core.sys.posix.unistd;
import std.file, std.process, std.socket, std.stdio;
void tries(string how, void delegate() what) {
    try { what(); } catch (Exception) { return; }
    writeln("BREACH ", how);
}
void main() {
    auto here = new InternetAddress("127.0.0.1", @PORT@);
    tries("tcp", { new TcpSocket(here); });
    tries("udp", { if (new UdpSocket().sendTo("x", here) < 1) throw new Exception("not sent"); });
    tries("unix", { new Socket(AddressFamily.UNIX, SocketType.STREAM).connect(new UnixAddress("@UNIX@")); });
    tries("listens", {
        auto socket = new TcpSocket();
        socket.bind(new InternetAddress("127.0.0.1", 0));
        socket.listen(1);
    });
    tries("reads", { readText("@CANARY@"); });
    tries("writes", { std.file.write("@MINE@", "x"); });
    tries("drops", { std.file.write("@DROP@/left", "x"); });
    if (kill(@PID@, 0) == 0) writeln("BREACH signals");
    if (environment.get("HARNESS_CANARY")) writeln("BREACH environment");
}
