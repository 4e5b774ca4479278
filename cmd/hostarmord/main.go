// Command hostarmord is HostArmor's daemon. It translates flags and signals
// and names the backend; package daemon knows the rest.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/hostarmor/hostarmor/daemon"
	"github.com/hostarmor/hostarmor/daemon/settings"
	"github.com/hostarmor/hostarmor/daemon/systemd"
	versions "github.com/hostarmor/hostarmor/daemon/version"
	"github.com/hostarmor/hostarmor/lsm/bpflsm"
)

// Set by the build: -ldflags "-X main.version=0.1.0".
var version, commit string

// Exit codes. The unit restarts the daemon after any but exitRequired, which a
// restart would not change. (A panic ends with 2, as a wrong usage does.)
const (
	exitRequired = 1 // required = true, and nothing can enforce
	exitUsage    = 2
	exitFailed   = 3
)

// removingFile is made by the package's scripts. What protects HostArmor lets
// only its service lift enforcement, so that stops as part of it: see the unit.
const removingFile = "/run/hostarmor/removing"

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	var c daemon.Config
	flags := flag.NewFlagSet("hostarmord", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&c.Settings, "settings", settings.DefaultFile, "the settings `file`")
	showVersion := flags.Bool("version", false, "print the version and exit")
	release := flags.Bool("release", false, "lift what a daemon that does not run any more left in force, and exit")
	removing := flags.Bool("release-if-removing", false, "the same, if the package is being removed; ExecStopPost= of the service")
	verbose := flags.Bool("debug", false, "log what the daemon does, to standard error")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return exitUsage
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "hostarmord: unexpected argument %q\n", flags.Arg(0))
		return exitUsage
	}
	if *showVersion {
		fmt.Fprintln(stdout, versions.Of(version, commit))
		return 0
	}
	if *verbose {
		c.Log = slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	c.Notify = systemd.Notifier{}
	// What the kernel is given in one step may take longer than the watchdog
	// waits.
	c.Enforcer = bpflsm.New(bpflsm.Config{Progress: func() { _ = c.Notify.Alive() }})
	if *removing {
		if _, err := os.Stat(removingFile); errors.Is(err, os.ErrNotExist) {
			return 0
		}
	}
	if *release || *removing {
		if err := daemon.Release(c.Enforcer, ""); err != nil {
			fmt.Fprintf(stderr, "hostarmord: %v\n", err)
			return exitFailed
		}
		return 0
	}
	c.Version = versions.Of(version, commit)
	c.Init = systemd.NewManager("hostarmor.service")
	return serve(daemon.New(c), stderr)
}

func serve(d *daemon.Daemon, stderr io.Writer) int {
	// A small heap matters more here than the collector's time: the daemon
	// idles, and a reload may double it for a moment.
	debug.SetGCPercent(50)
	// Where transparent huge pages are always on, khugepaged fills what the
	// collector has given back with huge pages again, 10 MB and more of an
	// idle daemon. A kernel without the call has none to fill.
	_ = unix.Prctl(unix.PR_SET_THP_DISABLE, 1, 0, 0, 0)

	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	go func() {
		for s := range signals {
			switch s {
			case syscall.SIGHUP:
				d.LookAtAll()
			case syscall.SIGTERM:
				cancel(daemon.ErrTerminated)
			default:
				cancel(errors.New(s.String()))
			}
		}
	}()
	switch err := d.Run(ctx); {
	case errors.Is(err, daemon.ErrRequired):
		fmt.Fprintf(stderr, "hostarmord: %v\n", err)
		return exitRequired
	case err != nil:
		fmt.Fprintf(stderr, "hostarmord: %v\n", err)
		return exitFailed
	}
	return 0
}
