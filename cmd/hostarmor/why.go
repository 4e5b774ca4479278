package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/hostarmor/hostarmor/daemon/reload"
	"github.com/hostarmor/hostarmor/daemon/settings"
	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/hostpolicy/policyfile"
	"github.com/hostarmor/hostarmor/hostpolicy/policyfile/kubearmor"
	"github.com/hostarmor/hostarmor/hostpolicy/policyfile/policytest"
	"github.com/hostarmor/hostarmor/lsm/compile"
)

// codes are all that a check, a test or the daemon can report.
func codes() map[string]hostpolicy.Code {
	all := make(map[string]hostpolicy.Code)
	for _, some := range []map[string]hostpolicy.Code{
		policyfile.Codes, policytest.Codes, kubearmor.Codes, compile.Codes, reload.Codes, settings.Codes,
	} {
		maps.Copy(all, some)
	}
	return all
}

func codeNames() []string { return slices.Sorted(maps.Keys(codes())) }

// explainCode prints the explanation of a problem's code.
func explainCode(w io.Writer, name string, out format) error {
	name = strings.ToUpper(name)
	code, ok := codes()[name]
	if !ok {
		near := "hostarmor check prints them before each message"
		if guess := policyfile.Nearest(name, codeNames()); guess != "" {
			near = "did you mean " + guess + "?"
		}
		return fmt.Errorf("--why %s: there is no such code (%s)", printable(name), near)
	}
	if out.json() {
		return printJSON(w, struct {
			Schema int    `json:"schema"`
			Code   string `json:"code"`
			Title  string `json:"title"`
			Why    string `json:"why"`
			Fix    string `json:"fix"`
		}{1, name, code.Title, code.Why, code.Fix})
	}
	t := &failing{w: w}
	fmt.Fprintf(t, "%s: %s\n", name, code.Title)
	for _, part := range []struct{ head, text string }{{"Why", code.Why}, {"Fix", code.Fix}} {
		fmt.Fprintf(t, "\n%s\n", indent(part.head, part.text))
	}
	return written(t.err)
}

// indent wraps text beside a heading.
func indent(head, text string) string {
	const width = 76
	var b strings.Builder
	column := len(head) + 1
	b.WriteString(head)
	for paragraph := range strings.SplitSeq(text, "\n") {
		for i, word := range strings.Fields(paragraph) {
			if i > 0 && column+1+len(word) > width {
				b.WriteString("\n" + strings.Repeat(" ", len(head)))
				column = len(head)
			}
			b.WriteString(" " + word)
			column += 1 + len(word)
		}
		b.WriteString("\n" + strings.Repeat(" ", len(head)))
		column = len(head)
	}
	return strings.TrimRight(b.String(), " \n")
}
