package main

import (
	"fmt"
	"net"
	"os"
)

func main() {
	if _, err := net.Dial("tcp", "127.0.0.1:@PORT@"); err == nil {
		fmt.Println("BREACH tcp")
	}
	if _, err := net.Listen("tcp", "127.0.0.1:0"); err == nil {
		fmt.Println("BREACH listens")
	}
	if _, err := os.ReadFile("/etc/shadow"); err == nil {
		fmt.Println("BREACH shadow")
	}
	if os.WriteFile("@DROP@/mine", []byte("harm"), 0o644) == nil {
		fmt.Println("BREACH writes")
	}
	if os.Getenv("HARNESS_CANARY") != "" {
		fmt.Println("BREACH environment")
	}
}
