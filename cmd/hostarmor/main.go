// Command hostarmor asks the daemon, and checks policies without it. A file
// per verb.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/hostarmor/hostarmor/daemon/control"
	versions "github.com/hostarmor/hostarmor/daemon/version"
)

// Set by the build: -ldflags "-X main.version=0.1.0".
var version, commit string

// Exit codes of every command.
const (
	exitClean = 0 // done, and clean
	exitWrong = 1 // done, and something is wrong
	exitUsage = 2 // wrong usage
	exitFail  = 3 // cannot do it: no daemon, no permission
)

// grace is what a command has after a signal to end by itself.
const grace = 500 * time.Millisecond

// exit ends a command with a code. What there is to say has been said.
type exit int

func (e exit) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// failure is something that could not be done.
type failure struct{ error }

func (f failure) Unwrap() error { return f.error }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// What waits ends by its context. What reads and computes does not look at
	// it, and must not outlive Ctrl-C or timeout(1) for that.
	context.AfterFunc(ctx, func() { interrupted(os.Stderr, os.Exit) })
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// interrupted ends a command that has not ended by itself.
func interrupted(stderr io.Writer, quit func(code int)) {
	time.Sleep(grace)
	fmt.Fprintln(stderr, "hostarmor: interrupted")
	quit(exitFail)
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	var code exit
	var fail failure
	switch {
	case err == nil:
		return exitClean
	case errors.As(err, &code):
		return int(code)
	case errors.As(err, &fail):
		complain(stderr, fail)
		return exitFail
	}
	complain(stderr, err)
	fmt.Fprintln(stderr, "See: hostarmor --help")
	return exitUsage
}

// complain prints an error, which may hold the name of a file as it is.
func complain(w io.Writer, err error) {
	for i, line := range strings.Split(err.Error(), "\n") {
		if i == 0 {
			line = "hostarmor: " + line
		}
		fmt.Fprintln(w, printable(line))
	}
}

func newRoot() *cobra.Command {
	c := &cobra.Command{
		Use:           "hostarmor",
		Short:         "Hardens this machine: policies that the kernel enforces",
		Version:       versions.Of(version, commit).String(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.SetVersionTemplate("{{.Version}}\n")
	socket := c.PersistentFlags().String("socket", control.Path, "the daemon's control socket")
	dial := func() *control.Client { return control.NewClient(*socket) }
	c.AddCommand(newStatus(dial), newCheck(), newExplain(), newTest(), newConvert(), newReload(dial), newUnlock(dial), newEvents(dial), newVersion(dial))
	return c
}

// dialer makes a client of the daemon.
type dialer func() *control.Client

// format is the flag -o.
type format string

func (f *format) flag(c *cobra.Command) {
	*f = "text"
	c.Flags().VarP(f, "output", "o", `"text" or "json"`)
	complete(c, "output", "text", "json")
}

func (f *format) String() string { return string(*f) }
func (f *format) Type() string   { return "format" }
func (f *format) Set(s string) error {
	if s != "text" && s != "json" {
		return errors.New(`write "text" or "json"`)
	}
	*f = format(s)
	return nil
}

func (f *format) json() bool { return *f == "json" }

// printJSON writes v for programs.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return written(enc.Encode(v))
}

// written makes an error of writing the output one of doing it.
func written(err error) error {
	if err != nil {
		return failure{fmt.Errorf("write the output: %w", err)}
	}
	return nil
}

// terminal reports whether w is one, so that escapes go to people only.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
