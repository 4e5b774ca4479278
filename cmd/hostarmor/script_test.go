package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"rsc.io/script"
	"rsc.io/script/scripttest"

	"github.com/hostarmor/hostarmor/daemon/control"
	"github.com/hostarmor/hostarmor/daemon/event"
	"github.com/hostarmor/hostarmor/daemon/status"
	versions "github.com/hostarmor/hostarmor/daemon/version"
	"github.com/hostarmor/hostarmor/hostpolicy"
)

// The scripts in testdata run commands as `hostarmor CODE ARG...`, CODE being
// the exit code that they must end with ("< FILE" at the end is standard
// input), and start a daemon that answers in a
// given way as `daemon NAME`.
func TestScripts(t *testing.T) {
	engine := script.NewEngine()
	engine.Cmds["hostarmor"] = command()
	engine.Cmds["daemon"] = fakeDaemon(t)
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	scripttest.Test(t, t.Context(), engine, []string{"TZ=UTC"}, "testdata/*.txtar")
}

func command() script.Cmd {
	return script.Command(script.CmdUsage{Summary: "run hostarmor", Args: "code args..."},
		func(s *script.State, args ...string) (script.WaitFunc, error) {
			if len(args) == 0 {
				return nil, script.ErrUsage
			}
			want, err := strconv.Atoi(args[0])
			if err != nil {
				return nil, script.ErrUsage
			}
			args = args[1:]
			stdin := &bytes.Buffer{}
			if n := len(args) - 2; n >= 0 && args[n] == "<" {
				text, err := os.ReadFile(s.Path(args[n+1]))
				if err != nil {
					return nil, err
				}
				stdin.Write(text)
				args = args[:n]
			}
			args = append(args, "--socket", s.Path("d.sock"))
			for i := range args {
				if args[i] != "" && exists(s.Path(args[i])) {
					args[i] = s.Path(args[i])
				}
			}
			return func(s *script.State) (string, string, error) {
				var out, errs bytes.Buffer
				ctx, cancel := context.WithTimeout(s.Context(), 10*time.Second)
				defer cancel()
				if got := run(ctx, args, stdin, &out, &errs); got != want {
					err = fmt.Errorf("exit code %d, want %d", got, want)
				}
				work := []byte(s.Getwd() + "/")
				clean := func(b bytes.Buffer) string { return string(bytes.ReplaceAll(b.Bytes(), work, nil)) }
				return clean(out), clean(errs), err
			}, nil
		})
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func fakeDaemon(t *testing.T) script.Cmd {
	return script.Command(script.CmdUsage{Summary: "run a daemon that answers", Args: "name"},
		func(s *script.State, args ...string) (script.WaitFunc, error) {
			if len(args) != 1 {
				return nil, script.ErrUsage
			}
			d, ok := answers[args[0]]
			if !ok {
				return nil, fmt.Errorf("no daemon answers as %q", args[0])
			}
			d.Events = event.NewHub()
			pipe := event.NewPipe(d.Events, 0)
			for _, e := range history {
				pipe.Post(e)
			}
			if err := pipe.Stop(s.Context()); err != nil {
				return nil, err
			}
			l, err := control.Listen(s.Path("d.sock"))
			if err != nil {
				return nil, err
			}
			go control.Serve(s.Context(), l, d)
			return nil, nil
		})
}

func answering(s status.Status, r control.Reload, err error) control.Daemon {
	return control.Daemon{
		Status:  func(context.Context) (status.Status, error) { return s, nil },
		Reload:  func(context.Context) (control.Reload, error) { return r, err },
		Version: versions.Of("9.9.9", "0123456789abcdef"),
	}
}

// unlocking is the daemon with a lock.
func unlocking(d control.Daemon, u control.Unlock, err error) control.Daemon {
	d.Unlock = func(context.Context, time.Duration) (control.Unlock, error) { return u, err }
	return d
}

var loadedAt = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

var rules = []status.Rule{
	{ID: "web/process.no-shells", Source: "/etc/hostarmor/policies/web.toml:5", Action: "block", State: status.Enforced, Hits: 12},
	{ID: "web/file.certs", Source: "/etc/hostarmor/policies/web.toml:9", Action: "audit", State: status.Enforced},
}

var enforcing = status.Status{
	Schema: 1, Version: "9.9.9", Backend: "bpf", BackendReason: "x", Kernel: "6.12.0", Mode: status.Enforcing,
	Reason: "1 policy with 2 rules", Generation: 4, LoadedAt: &loadedAt,
	Policies:  []status.Policy{{Name: "web", Source: "/etc/hostarmor/policies/web.toml", SHA256: "00", State: status.Active, Rules: rules}},
	Workloads: []status.Workload{{Kind: "host", ID: "host", Name: "every process that is not in a container", Policies: []string{"web"}}},
	Drift:     []status.Drift{}, Degraded: []string{}, Problems: []event.Problem{}, Hooks: []string{"file_open"},
}

var problem = event.Problem{
	Source: "/etc/hostarmor/policies/db.toml:3:1", Code: "HA008", Severity: "error", Field: "naem",
	Message: "unknown key", Fix: "did you mean name?",
}

func troubled() status.Status {
	s := enforcing
	s.Reason = "the previous policies; those on disk were refused"
	gap := rules[1]
	gap.State, gap.Reason = status.NotEnforced, "writing: this kernel has no path_* hooks (CONFIG_SECURITY_PATH), so it cannot be seen"
	s.Policies = []status.Policy{
		{Name: "web", Source: "/etc/hostarmor/policies/web.toml", State: status.Active, Rules: []status.Rule{rules[0], gap}},
		{Name: "db", Source: "/etc/hostarmor/policies/db.toml", State: status.Rejected, Reason: "has errors", Rules: []status.Rule{}},
	}
	s.Drift = []status.Drift{{Source: "/etc/hostarmor/policies/db.toml", Reason: "has errors"}}
	s.Degraded = []string{"1 rule NOT ENFORCED on this machine. See: hostarmor status"}
	s.Problems = []event.Problem{problem}
	s.LostEvents = 7
	return s
}

var answers = map[string]control.Daemon{
	"enforcing": answering(enforcing, control.Reload{Schema: 1, Changed: true, Generation: 5, Mode: "enforce", Policies: 1, Rules: 2, Problems: []event.Problem{}}, nil),
	"troubled":  answering(troubled(), control.Reload{}, &control.Refusal{Schema: 1, Summary: "the policies were refused", Problems: []event.Problem{problem}}),
	"bare": answering(status.Status{
		Schema: 1, Backend: "none", BackendReason: "bpf is not active", Mode: status.None, Reason: "this kernel cannot: bpf is not active",
		Degraded: []string{"NOTHING is enforced: bpf is not active"},
	}, control.Reload{Schema: 1, Mode: "none", Policies: 2, Problems: []event.Problem{}}, nil),
	"locked":   unlocking(answering(enforcing, control.Reload{}, nil), control.Unlock{Schema: 1, Until: &loadedAt}, nil),
	"unlocked": unlocking(answering(enforcing, control.Reload{Schema: 1, Changed: true, Generation: 2, Mode: "enforce"}, nil), control.Unlock{Schema: 1, Reason: "[protect] policies is false: policy files are not locked"}, nil),
	"stuck":    unlocking(answering(enforcing, control.Reload{}, nil), control.Unlock{}, &control.Refusal{Schema: 1, Summary: "prepare the policies: out of memory", Problems: []event.Problem{}}),
	"broken":   answering(enforcing, control.Reload{}, errors.New("wait for the daemon: terminated")),
}

var history = []event.Event{
	{Kind: event.PolicyLoaded, Priority: event.Info, Message: "1 policy with 2 rules now in force, generation 4", Time: loadedAt},
	{Kind: event.PolicyRejected, Priority: event.Err, Message: "The policies were not loaded", Time: loadedAt,
		Problems: []hostpolicy.Problem{{Position: hostpolicy.Position{File: "db.toml", Line: 3, Column: 1}, Code: "HA008", Severity: hostpolicy.Error, Message: "unknown key"}}},
	{Kind: event.Access, Priority: event.Warning, Message: "Refused: bash may not execute /usr/bin/nc", Time: loadedAt, Count: 3,
		Decision: &event.Decision{Action: "block", Policy: "web", Rule: "web/process.no-shells", Resource: "/usr/bin/nc", Exe: "/usr/bin/bash", Unit: "cron.service"}},
	{Kind: event.Access, Priority: event.Notice, Message: "Noted: cat read /etc/x\x1b[2J", Time: loadedAt, Count: 1,
		Decision: &event.Decision{Action: "audit", Policy: "db", Rule: "db/file.x", Resource: "/etc/x", Exe: "/usr/bin/cat"}},
}
