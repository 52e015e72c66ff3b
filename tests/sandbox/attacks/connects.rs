use std::net::{TcpListener, TcpStream};
fn main() {
    if TcpStream::connect("127.0.0.1:@PORT@").is_ok() { println!("BREACH tcp"); }
    if TcpListener::bind("127.0.0.1:0").is_ok() { println!("BREACH listens"); }
    if std::fs::read("/etc/shadow").is_ok() { println!("BREACH shadow"); }
    if std::fs::write("@DROP@/mine", "harm").is_ok() { println!("BREACH writes"); }
    if std::env::var("HARNESS_CANARY").is_ok() { println!("BREACH environment"); }
    if std::os::unix::net::UnixStream::connect("@UNIX@").is_ok() { println!("BREACH unix"); }
}
