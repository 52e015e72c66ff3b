using System;
using System.IO;
using System.Net.Sockets;
class Connects {
    static void Try(string how, Action what) {
        try { what(); } catch (Exception) { return; }
        Console.WriteLine("BREACH " + how);
    }
    static void Main() {
        Try("tcp", () => new TcpClient("127.0.0.1", @PORT@).GetStream().WriteByte(1));
        Try("listens", () => new TcpListener(System.Net.IPAddress.Loopback, 0).Start());
        Try("reads", () => File.ReadAllText("@CANARY@"));
        Try("writes", () => File.WriteAllText("@MINE@", "x"));
    }
}
