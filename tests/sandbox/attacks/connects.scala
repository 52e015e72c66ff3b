import java.net._
import java.nio.file._
object Main {
    def tries(how: String)(what: => Any): Unit =
        try { what; println("BREACH " + how) } catch { case failure: Exception => }
    def main(words: Array[String]): Unit = {
        tries("tcp") { new Socket("127.0.0.1", @PORT@) }
        tries("udp") { new DatagramSocket().send(new DatagramPacket(Array[Byte](1), 1, InetAddress.getByName("127.0.0.1"), @PORT@)) }
        tries("unix") { java.nio.channels.SocketChannel.open(UnixDomainSocketAddress.of("@UNIX@")) }
        tries("listens") { new ServerSocket(0) }
        tries("reads") { Files.readAllBytes(Paths.get("@CANARY@")) }
        tries("writes") { Files.write(Paths.get("@MINE@"), "x".getBytes) }
        tries("drops") { Files.write(Paths.get("@DROP@/left"), "x".getBytes) }
        if (System.getenv("HARNESS_CANARY") != null) println("BREACH environment")
    }
}
