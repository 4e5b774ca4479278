// Command smoke does in the guest what the smoke test asks for.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	switch os.Args[1] {
	case "exit":
		fmt.Printf("uid %d, argument %q, environment %q\n", os.Getuid(), os.Args[2], os.Getenv("SMOKE"))
		fmt.Fprintln(os.Stderr, "on stderr")
		check(os.WriteFile("/tmp/answer", []byte("from the guest\n"), 0o640))
		check(os.WriteFile("/scratch/file", nil, 0o600))
		os.Exit(7)
	case "input":
		data, err := os.ReadFile("/srv/input/file")
		check(err)
		fmt.Printf("%s", data)
	case "flood":
		if signal.Ignored(syscall.SIGINT) || signal.Ignored(syscall.SIGPIPE) {
			check(fmt.Errorf("the job starts with SIGINT or SIGPIPE ignored"))
		}
		line := strings.Repeat("x", 1023) + "\n"
		for range 4096 {
			fmt.Print(line)
		}
	case "sleep":
		fmt.Println("sleeping")
		time.Sleep(time.Hour)
	case "panic":
		check(os.WriteFile("/proc/sysrq-trigger", []byte("c"), 0))
	case "poweroff":
		check(os.WriteFile("/proc/sysrq-trigger", []byte("o"), 0))
		time.Sleep(time.Hour)
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
