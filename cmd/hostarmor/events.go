package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"

	"github.com/spf13/cobra"

	"github.com/hostarmor/hostarmor/daemon/event"
)

// filter says which events are shown. Each value is a glob; an empty one
// matches all.
type filter struct{ event, action, policy, rule, unit, exe, resource string }

func newEvents(dial dialer) *cobra.Command {
	var out format
	var follow bool
	var recent int
	var f filter
	c := &cobra.Command{
		Use:   "events",
		Short: "The latest events, and with -f those that follow",
		Long: `Shows what the daemon reported lately. The journal has them all:

  journalctl -t hostarmor
  journalctl HOSTARMOR_POLICY=web-frontend -o json

A filter is a value or a glob, as --policy 'web-*'.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if recent < 0 {
				return fmt.Errorf("--lines %d: write a number that is not negative", recent)
			}
			if err := f.valid(); err != nil {
				return err
			}
			if follow && !c.Flags().Changed("lines") {
				recent = 10
			}
			err := dial().Events(c.Context(), recent, follow, func(line []byte) error {
				return f.show(c.OutOrStdout(), line, out.json())
			})
			if errors.Is(err, context.Canceled) {
				return nil // Ctrl-C is how one stops following
			}
			var fail failure
			if err != nil && !errors.As(err, &fail) {
				return failure{err}
			}
			return err
		},
	}
	out.flag(c)
	flags := c.Flags()
	flags.BoolVarP(&follow, "follow", "f", false, "go on with those that follow")
	flags.IntVarP(&recent, "lines", "n", 256, "how many of the latest events (10 with -f)")
	flags.StringVar(&f.event, "event", "", "only these: access, unjudged, policy-loaded, policy-rejected, degraded, lost, tamper")
	flags.StringVar(&f.action, "action", "", "only these: block, audit, allow")
	flags.StringVar(&f.policy, "policy", "", "only of this policy")
	flags.StringVar(&f.rule, "rule", "", "only of this rule, by its full id")
	flags.StringVar(&f.unit, "unit", "", "only by processes of this unit")
	flags.StringVar(&f.exe, "exe", "", "only by this program")
	flags.StringVar(&f.resource, "resource", "", "only on this file")
	return c
}

// show prints one line of the stream, if it passes.
func (f *filter) show(w io.Writer, line []byte, asJSON bool) error {
	var e event.Event
	if err := json.Unmarshal(line, &e); err != nil {
		return failure{fmt.Errorf("read an event: %w", err)}
	}
	if !f.passes(&e) {
		return nil
	}
	if asJSON {
		_, err := fmt.Fprintf(w, "%s\n", line)
		return written(err)
	}
	at := ""
	if !e.Time.IsZero() {
		at = e.Time.Local().Format("15:04:05.000") + " "
	}
	times := ""
	if e.Decision != nil && e.Count > 1 {
		times = fmt.Sprintf(" (%d times)", e.Count)
	}
	_, err := fmt.Fprintf(w, "%s%-15s %s%s\n", at, e.Kind, printable(e.Message), times)
	if err == nil {
		err = problemsBelow(w, line)
	}
	return written(err)
}

// problemsBelow prints the problems of an event that carries some.
func problemsBelow(w io.Writer, line []byte) error {
	var list struct {
		Problems []event.Problem `json:"problems"`
	}
	if err := json.Unmarshal(line, &list); err != nil {
		return err
	}
	for _, p := range list.Problems {
		if _, err := fmt.Fprintf(w, "    %s\n", problemLine(p)); err != nil {
			return err
		}
	}
	return nil
}

func (f *filter) passes(e *event.Event) bool {
	// Losses concern every filter: what is lost might have passed it.
	if e.Kind == event.Lost {
		return true
	}
	var d event.Decision
	if e.Decision != nil {
		d = *e.Decision
	}
	return matches(f.event, string(e.Kind)) && matches(f.action, d.Action) && matches(f.policy, d.Policy) &&
		matches(f.rule, d.Rule) && matches(f.unit, d.Unit) && matches(f.exe, d.Exe) && matches(f.resource, d.Resource)
}

func (f *filter) valid() error {
	for _, glob := range []string{f.event, f.action, f.policy, f.rule, f.unit, f.exe, f.resource} {
		if _, err := path.Match(glob, ""); err != nil {
			return fmt.Errorf("%q is not a glob: %w", glob, err)
		}
	}
	return nil
}

func matches(glob, value string) bool {
	if glob == "" || glob == value {
		return true
	}
	ok, _ := path.Match(glob, value) // its syntax was looked at before
	return ok
}
