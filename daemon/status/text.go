package status

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// width of the text.
const width = 80

// Headline says in one line how far enforcement reaches, and why.
func Headline(m Mode, reason string) string {
	switch m {
	case Enforcing:
		return "ENFORCING: " + reason
	case AuditOnly:
		return "AUDIT ONLY: nothing is blocked, " + reason
	}
	return "NOT ENFORCED: " + reason
}

// Text writes the status for people. With bold the first words stand out.
func (s *Status) Text(w io.Writer, bold bool) error {
	t := &text{w: w}
	head := Headline(s.Mode, s.Reason)
	if word, rest, ok := strings.Cut(head, ":"); ok && bold {
		t.line("\x1b[1m%s\x1b[0m:%s", word, fold(rest, "  "))
	} else {
		t.line("%s", fold(head, "  "))
	}
	t.line("")
	s.facts(t)
	for _, d := range s.Degraded {
		t.line("%s", fold("! "+d, "  "))
	}
	if len(s.Degraded) > 0 {
		t.line("")
	}
	s.policies(t)
	s.drift(t)
	s.problems(t)
	return t.err
}

func (s *Status) facts(t *text) {
	tw := tabwriter.NewWriter(t, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(tw, "%s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	if s.Backend == "none" {
		row("Backend", "none")
	} else {
		row("Backend", "%s on %s", s.Backend, s.Kernel)
	}
	if s.Generation != 0 {
		loaded := ""
		switch {
		case s.LoadedAt != nil:
			loaded = ", loaded " + s.LoadedAt.Local().Format("2006-01-02 15:04:05")
		case s.Adopted:
			loaded = ", taken over from an earlier daemon"
		}
		row("Generation", "%d%s", s.Generation, loaded)
	}
	for _, wl := range s.Workloads {
		row("Confined", "%s: %s", wl.Kind, wl.Name)
	}
	row("Lost events", "%d", s.LostEvents)
	row("Version", "%s", s.Version)
	tw.Flush()
	t.line("")
}

func (s *Status) policies(t *text) {
	if len(s.Policies) == 0 {
		return
	}
	t.line("Policies")
	for i := range s.Policies {
		p := &s.Policies[i]
		t.line("  %-10s %s (%s)", p.State, p.Name, p.Source)
		if p.Reason != "" {
			t.line("%s", fold("             "+p.Reason, "             "))
		}
		tw := tabwriter.NewWriter(t, 0, 0, 2, ' ', 0)
		for _, r := range p.Rules {
			if r.State != NotEnforced {
				fmt.Fprintf(tw, "    %s\t%s\t%s\n", strings.TrimPrefix(r.ID, p.Name+"/"), r.Action, hits(r.Hits))
			}
		}
		tw.Flush()
		for _, r := range p.Rules {
			if r.State == NotEnforced {
				t.line("%s", fold(fmt.Sprintf("    %s: NOT ENFORCED, %s", strings.TrimPrefix(r.ID, p.Name+"/"), r.Reason), "      "))
			}
		}
	}
	t.line("")
}

func hits(n uint64) string {
	if n == 1 {
		return "1 hit"
	}
	return fmt.Sprintf("%d hits", n)
}

func (s *Status) drift(t *text) {
	if len(s.Drift) == 0 {
		return
	}
	t.line("The disk and the kernel differ")
	for _, d := range s.Drift {
		t.line("%s", fold(fmt.Sprintf("  %s: %s", d.Source, d.Reason), "    "))
	}
	t.line("")
}

func (s *Status) problems(t *text) {
	if len(s.Problems) == 0 {
		return
	}
	t.line("Problems")
	for _, p := range s.Problems {
		what := p.Message
		if p.Field != "" {
			what = p.Field + ": " + what
		}
		t.line("  %s %s", p.Source, p.Severity)
		t.line("%s", fold("    "+what, "    "))
		if p.Fix != "" {
			t.line("%s", fold("    -> "+p.Fix, "       "))
		}
	}
	t.line("")
}

// fold breaks a line at words. A word longer than a line, as a path, stays
// whole: it is there to be copied.
func fold(s, indent string) string {
	var b strings.Builder
	lead := s[:len(s)-len(strings.TrimLeft(s, " "))]
	b.WriteString(lead)
	column := len(lead)
	for i, word := range strings.Fields(s) {
		switch {
		case i == 0:
		case column+1+len(word) > width:
			b.WriteString("\n" + indent)
			column = len(indent)
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += len(word)
	}
	return b.String()
}

// text keeps the first error of its writes.
type text struct {
	w   io.Writer
	err error
}

func (t *text) Write(b []byte) (int, error) {
	if t.err != nil {
		return 0, t.err
	}
	n, err := t.w.Write(b)
	t.err = err
	return n, err
}

func (t *text) line(format string, args ...any) { fmt.Fprintf(t, format+"\n", args...) }
