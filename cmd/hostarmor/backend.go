package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hostarmor/hostarmor/daemon/reload"
	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/lsm"
	"github.com/hostarmor/hostarmor/lsm/compile"
)

// backend is the flag --backend.
type backend string

func (b *backend) flag(c *cobra.Command, usage string) {
	*b = "bpf"
	c.Flags().Var(b, "backend", usage)
	complete(c, "backend", "bpf", "apparmor")
}

func (b *backend) String() string { return string(*b) }
func (b *backend) Type() string   { return "backend" }
func (b *backend) Set(s string) error {
	if _, ok := lsm.Offers(s); !ok {
		return errors.New(`write "bpf" or "apparmor"`)
	}
	*b = backend(s)
	return nil
}

// supported is what the backend of this version enforces of the policies on a
// kernel that has all it asks for, and what it does not.
func (b *backend) supported(policies []hostpolicy.Policy) ([]hostpolicy.Policy, []compile.Gap) {
	support, _ := lsm.Offers(string(*b))
	return compile.Supported(policies, support)
}

// gapProblems are the gaps as check reports them.
func (b *backend) gapProblems(gaps []compile.Gap) []hostpolicy.Problem {
	problems := make([]hostpolicy.Problem, len(gaps))
	for i, g := range gaps {
		_, field, _ := strings.Cut(g.Rule, "/")
		problems[i] = hostpolicy.Problem{
			Position: g.Position, Code: reload.CodeUnsupported, Severity: hostpolicy.Error, Field: field,
			Message: fmt.Sprintf("the %s backend does not enforce it: %s", *b, g.Reason),
			Fix:     `remove the rule, or set unsupported = "warn" in hostarmor.toml to load the rest`,
		}
	}
	return problems
}
