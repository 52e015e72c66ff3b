import java.io.*;
import java.net.*;
public class Main {
    public static void main(String[] args) {
        try { new Socket("127.0.0.1", @PORT@); System.out.println("BREACH tcp"); } catch (Throwable error) { }
        try { new ServerSocket(0); System.out.println("BREACH listens"); } catch (Throwable error) { }
        try { new FileReader("/etc/shadow").read(); System.out.println("BREACH shadow"); } catch (Throwable error) { }
        try { new FileWriter("@DROP@/mine").close(); System.out.println("BREACH writes"); } catch (Throwable error) { }
        System.out.println(System.getenv("HARNESS_CANARY") == null ? "" : "BREACH environment");
    }
}
