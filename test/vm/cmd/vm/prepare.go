package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/hostarmor/hostarmor/test/vm"
)

func prepare(ctx context.Context, args []string) (int, error) {
	flags := flag.NewFlagSet("vm prepare", flag.ContinueOnError)
	kernels := flags.String("kernels", "6.1,6.12", "kernels to fetch, separated by commas or blanks, or all")
	guest := flags.String("guest", "minimal", "guest to make ready: minimal or full")
	if err := flags.Parse(args); err != nil {
		return exitHarness, err
	}
	if flags.NArg() > 0 {
		return exitHarness, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	g, err := vm.ParseGuest(*guest)
	if err != nil {
		return exitHarness, err
	}
	names := strings.FieldsFunc(*kernels, func(r rune) bool { return r == ',' || r == ' ' })
	if *kernels == "all" {
		names = vm.Kernels
	}
	if err := vm.Prepare(ctx, names, g, os.Stderr); err != nil {
		return exitHarness, err
	}
	return 0, nil
}
