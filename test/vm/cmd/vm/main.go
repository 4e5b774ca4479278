// Command vm runs a program on a real kernel in QEMU; see test/vm/README.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// Exit codes besides the job's own.
const (
	exitTimeout = 124
	exitHarness = 125
)

const usage = `usage:
  vm run --kernel 6.1 --guest minimal|full [flags] -- FILE [ARGS...]
  vm prepare [--kernels 6.1,6.12] [--guest full]

"vm run -h" lists the flags. Exit code: the job's; 124 timeout; 125 the harness or the guest's kernel failed.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	code, err := command(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "vm:", err)
	}
	os.Exit(code)
}

func command(ctx context.Context, args []string) (int, error) {
	if len(args) == 0 {
		fmt.Fprint(os.Stderr, usage)
		return exitHarness, nil
	}
	var code int
	var err error
	switch args[0] {
	case "run":
		code, err = run(ctx, args[1:])
	case "prepare":
		code, err = prepare(ctx, args[1:])
	case "-h", "--help", "help":
		fmt.Print(usage)
	default:
		return exitHarness, fmt.Errorf("unknown command %q\n%s", args[0], usage)
	}
	if errors.Is(err, flag.ErrHelp) {
		return 0, nil
	}
	return code, err
}
