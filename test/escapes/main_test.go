//go:build e2e

package escapes

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostarmor/hostarmor/daemon/control"
	"github.com/hostarmor/hostarmor/test/escapes/catalogue"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if role := os.Getenv(roleVariable); role != "" {
		os.Exit(play(role))
	}
	if err := install(); err != nil {
		fmt.Fprintln(os.Stderr, "escapes:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// TestCatalogue: every case has an attack, and every attack a case.
func TestCatalogue(t *testing.T) {
	named := make(map[string]bool)
	for _, c := range catalogue.Cases() {
		named[c.Name] = true
		if attacks[c.Name] == nil && c.Open == "" {
			t.Errorf("%s: nobody tries it", c.Name)
		}
	}
	for name := range attacks {
		if !named[name] {
			t.Errorf("%s is not in the catalogue", name)
		}
	}
}

// trial is a case, its attack, and what was found wrong.
type trial struct {
	catalogue.Case
	*attack
	c        *ctx
	before   string // snapshot
	problems []string
	broken   bool   // there is no point in going on
	through  bool   // the attack was not refused
	skipped  string // what this kernel lacks
	took     time.Duration
}

func (t *trial) fail(format string, args ...any) {
	t.problems = append(t.problems, fmt.Sprintf(format, args...))
}

func (t *trial) abort(format string, args ...any) {
	t.fail(format, args...)
	t.broken = true
}

// open tells whether the attack gets through on this kernel.
func (t *trial) open() bool { return t.Open != "" || !atLeast(t.Since) }

// TestEscapes tries all cases, in steps that all take together: a reload costs
// more than an attack. Only then does each report in a subtest of its own.
func TestEscapes(t *testing.T) {
	trials := chosen(t)
	if err := os.MkdirAll(ground, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(canary, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slowest(t, trials) })
	began := time.Now()
	step := func(what string) {
		fmt.Printf("%s: %.0f s\n", what, time.Since(began).Seconds())
		began = time.Now()
	}
	each(trials, withoutRule)
	each(trials, ready)
	step("all attacks without a rule")
	var found []record
	for _, b := range batches(trials) {
		enforce(t, b)
		step("loading the rules of " + b.name)
		each(b.trials, underRule)
		step("attacks under the rules of " + b.name)
		found = events(t, b.canary())
		release(t, b.canary())
	}
	each(trials, unchanged)
	step("what they left behind")
	for _, x := range trials {
		t.Run(x.attack.name, func(t *testing.T) {
			began := time.Now()
			defer func() { x.took += time.Since(began) }()
			if x.alone == nil && !x.broken && !x.through {
				x.judgeEvents(found)
			}
			for _, p := range x.problems {
				t.Error(p)
			}
			t.Cleanup(func() { // after those of alone
				if err := x.c.remove(x.attack); err != nil {
					t.Error(err)
				}
			})
			if x.alone != nil && !x.broken {
				x.alone(t, x.c)
			}
			if x.skipped != "" {
				t.Log(x.skipped)
			}
		})
	}
}

// chosen lists the cases that -test.run asks for: TestEscapes/PATTERN.
func chosen(t *testing.T) []*trial {
	pattern := ".*"
	if _, after, ok := strings.Cut(flag.Lookup("test.run").Value.String(), "/"); ok {
		pattern = after
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		t.Fatal(err)
	}
	var trials []*trial
	for _, c := range catalogue.Cases() {
		if a := attacks[c.Name]; a != nil && re.MatchString(c.Name) {
			trials = append(trials, &trial{Case: c, attack: a, c: newCtx(c.Name)})
		}
	}
	return trials
}

func each(trials []*trial, do func(*trial)) {
	for _, x := range trials {
		if !x.broken {
			began := time.Now()
			do(x)
			x.took += time.Since(began)
		}
	}
}

// slowest tells which cases cost most, for whoever waits for them.
func slowest(t *testing.T, trials []*trial) {
	slices.SortFunc(trials, func(a, b *trial) int { return cmp.Compare(b.took, a.took) })
	for _, x := range trials[:min(len(trials), 12)] {
		t.Logf("%5.1f s %s", x.took.Seconds(), x.attack.name)
	}
}

// withoutRule is the positive control: the attack works.
func withoutRule(x *trial) {
	if err := x.c.prepare(x.attack); err != nil {
		x.abort("%v", err)
		return
	}
	if x.alone != nil {
		return
	}
	before, err := x.c.snapshot(x.attack)
	if err != nil {
		x.abort("%v", err)
		return
	}
	err = x.as.spawn("try", x.c)
	if !atLeast(x.exists) {
		if e, ok := errno(err); ok && (e == unix.ENOSYS || e == unix.EINVAL || e == unix.EOPNOTSUPP) {
			x.skipped, x.broken = fmt.Sprintf("needs Linux %s, and this one says: %v", x.exists, err), true
			return
		}
		x.abort("this kernel should not have it, but: %v", err)
		return
	}
	if e, ok := errno(err); ok && e == unix.EIO && x.refused != "" && atLeast(x.refused) {
		x.skipped, x.broken = fmt.Sprintf("this kernel refuses it to everybody: %v", err), true
		return
	}
	if err != nil {
		x.abort("it does not even work without the rule: %v", err)
		return
	}
	if !x.changes {
		return
	}
	switch after, err := x.c.snapshot(x.attack); {
	case err != nil:
		x.abort("%v", err)
	case after == before:
		x.abort("without the rule it claims to work, but has changed nothing:\n%s", after)
	}
}

// ready restores what the positive control has destroyed.
func ready(x *trial) {
	if x.attack.alone != nil {
		return
	}
	err := x.c.prepare(x.attack)
	if err == nil {
		x.before, err = x.c.snapshot(x.attack)
	}
	if err != nil {
		x.abort("%v", err)
	}
}

// canary is denied by a policy of its own: it tells when rules are in force.
const canary = ground + "/canary"

// batch is cases whose rules are in force together. Every unit has verdicts of
// its own on what any rule names, so those of units are not put beside the rest.
type batch struct {
	name   string
	trials []*trial
}

func (b *batch) canary() string { return canary + "-of-" + b.name }

func batches(trials []*trial) []batch {
	host, units := batch{name: "hosts"}, batch{name: "units"}
	for _, x := range trials {
		switch {
		case x.alone != nil || x.broken:
		case strings.Contains(x.rules(), "\nunit = "):
			units.trials = append(units.trials, x)
		default:
			host.trials = append(host.trials, x)
		}
	}
	return []batch{host, units}
}

// rules is the policy of the case.
func (t *trial) rules() string {
	if t.policy != nil {
		return t.policy(t.c)
	}
	return denies(t.c.secret())
}

// enforce loads the policies of a batch. Those that are refused fail, and are
// left out, so that they do not take the others with them.
func enforce(t *testing.T, b batch) {
	t.Helper()
	canary := b.canary()
	if err := os.WriteFile(canary, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := writePolicy("canary", denies(canary)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { release(t, canary) })
	each(b.trials, func(x *trial) {
		if err := writePolicy(x.attack.name, x.rules()); err != nil {
			t.Fatal(err)
		}
	})
	_, err := reload()
	var refused *control.Refusal
	if errors.As(err, &refused) {
		for _, p := range refused.Problems {
			if string(p.Severity) != "error" {
				continue
			}
			file, _, _ := strings.Cut(p.Source, ":")
			name := strings.TrimSuffix(filepath.Base(file), ".toml")
			for _, x := range b.trials {
				if x.attack.name == name {
					x.abort("its policy is refused: %s: %s", p.Source, p.Message)
				}
			}
			if err := os.Remove(file); err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
		}
		_, err = reload()
	}
	if err != nil {
		t.Fatalf("reload: %v\n%s", err, state())
	}
	if _, err := os.ReadFile(canary); !errors.Is(err, unix.EACCES) {
		t.Fatalf("rules are loaded but %s is not refused: %v\n%s", canary, err, state())
	}
}

// underRule: the attack fails as it should, and what is no business of the rule
// still works.
func underRule(x *trial) {
	if x.alone != nil {
		return
	}
	if err := x.c.fresh(); err != nil {
		x.abort("%v", err)
		return
	}
	err := x.as.spawn("try", x.c)
	got, isErrno := errno(err)
	x.through = err == nil
	switch {
	case x.open():
		if err != nil {
			x.fail("documented as open, but: %v", err)
		}
	case err == nil:
		x.fail("GOT THROUGH, want %s", unix.ErrnoName(x.want))
	case !isErrno:
		x.fail("neither through nor refused: %v", err)
	case got != x.want:
		x.fail("%v (%s), want %s", err, unix.ErrnoName(got), unix.ErrnoName(x.want))
	}
	if err := x.c.fresh(); err != nil {
		x.fail("%v", err)
		return
	}
	if err := x.as.spawn("fine", x.c); err != nil {
		x.fail("an unrelated access fails: %v", err)
	}
}

// release takes all policies away.
func release(t *testing.T, canary string) {
	t.Helper()
	if err := removePolicies(); err != nil {
		t.Fatal(err)
	}
	if _, err := reload(); err != nil {
		t.Fatalf("reload: %v\n%s", err, state())
	}
	if _, err := os.ReadFile(canary); err != nil {
		t.Fatal(err)
	}
}

// unchanged: what is guarded is as it was before the rule.
func unchanged(x *trial) {
	if x.alone != nil || x.open() {
		return
	}
	switch after, err := x.c.snapshot(x.attack); {
	case err != nil:
		x.fail("%v", err)
	case after != x.before:
		x.fail("it has changed what is guarded\nfrom %sto   %s", x.before, after)
	}
}
