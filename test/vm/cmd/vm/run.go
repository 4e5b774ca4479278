package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/hostarmor/hostarmor/test/vm"
)

// list collects a flag that may be given several times.
type list []string

func (l *list) String() string     { return strings.Join(*l, " ") }
func (l *list) Set(v string) error { *l = append(*l, v); return nil }

// parseRun reads the arguments of "vm run" into a job without its writers.
func parseRun(args []string) (job vm.Job, quiet bool, err error) {
	flags := flag.NewFlagSet("vm run", flag.ContinueOnError)
	flags.StringVar(&job.Kernel, "kernel", "6.1", "kernel to boot: "+strings.Join(vm.Kernels, ", "))
	guest := flags.String("guest", "minimal", "user space: minimal (busybox) or full (Debian with systemd)")
	flags.IntVar(&job.CPUs, "cpus", 0, "virtual CPUs (default 2, with --icount 1)")
	flags.IntVar(&job.MemoryMB, "memory", 0, "memory in MB (default 1024 minimal, 2048 full)")
	flags.DurationVar(&job.Timeout, "timeout", 5*time.Minute, "wall-clock time from boot to the end of the job")
	flags.BoolVar(&job.ICount, "icount", false, "count instructions instead of time: figures repeat exactly")
	flags.StringVar(&job.Disk, "disk", "", "qcow2 file that keeps what the full guest writes, made if missing")
	flags.BoolVar(&job.PowerCut, "power-cut", false, "with --disk: cut the power when the job ends, no shutdown")
	flags.StringVar(&job.Keep, "keep", "", "directory for console, dmesg and journal (default: a new one, on failure only)")
	flags.BoolVar(&quiet, "quiet", false, "print nothing but the job's output and errors")
	var appends, files, gets, env list
	flags.Var(&appends, "append", "word(s) for the kernel command line; repeatable")
	flags.Var(&files, "file", "SRC[:DST] to copy into the guest, DST absolute or below /job; repeatable")
	flags.Var(&gets, "get", "GUESTPATH[:HOSTPATH] to copy back after the job; repeatable")
	flags.Var(&env, "env", "K=V for the job; repeatable")
	if err := flags.Parse(args); err != nil {
		return job, quiet, err
	}
	if job.Guest, err = vm.ParseGuest(*guest); err != nil {
		return job, quiet, err
	}
	if flags.NArg() == 0 {
		return job, quiet, fmt.Errorf("no program to run (vm run [flags] -- FILE [ARGS...])")
	}
	job.Program, job.Args = flags.Arg(0), flags.Args()[1:]
	job.Env = env
	for _, words := range appends {
		job.Append = append(job.Append, strings.Fields(words)...)
	}
	for _, f := range files {
		source, dest, _ := strings.Cut(f, ":")
		job.Files = append(job.Files, vm.File{Source: source, Guest: dest})
	}
	for _, g := range gets {
		guest, host, _ := strings.Cut(g, ":")
		job.Get = append(job.Get, vm.Fetch{Guest: guest, Host: host})
	}
	return job, quiet, nil
}

func run(ctx context.Context, args []string) (int, error) {
	job, quiet, err := parseRun(args)
	if err != nil {
		return exitHarness, err
	}
	job.Output = os.Stdout
	if !quiet {
		job.Progress = os.Stderr
	}
	res, err := vm.Run(ctx, job)
	if res.ConsoleTail != "" {
		fmt.Fprintf(os.Stderr, "vm: last lines of the console:\n%s\n", res.ConsoleTail)
	}
	if res.Kept != "" {
		fmt.Fprintf(os.Stderr, "vm: console, dmesg and journal are in %s\n", res.Kept)
	}
	if err != nil {
		return exitHarness, err
	}
	if res.TimedOut {
		return exitTimeout, fmt.Errorf("the job did not end within %s", job.Timeout)
	}
	if !quiet {
		fmt.Fprintf(os.Stderr, "vm: kernel %s, %s guest: exit code %d after %.1f s\n", job.Kernel, job.Guest, res.ExitCode, res.Duration.Seconds())
	}
	return res.ExitCode, nil
}
