// Command threats writes docs/threat-model.md from the catalogue and the
// engine's table of hooks.
package main

import (
	"cmp"
	_ "embed"
	"fmt"
	"log"
	"os"
	"strings"

	"github.com/hostarmor/hostarmor/lsm/bpflsm"
	"github.com/hostarmor/hostarmor/test/escapes/catalogue"
)

//go:embed head.md
var head string

// to is relative to the directory of go:generate.
const to = "../../../docs/threat-model.md"

func main() {
	if err := os.WriteFile(to, []byte(document()), 0o644); err != nil {
		log.Fatal(err)
	}
}

func document() string {
	var b strings.Builder
	b.WriteString(head)
	var closed int
	for _, c := range catalogue.Cases() {
		if c.Open == "" {
			closed++
		}
	}
	fmt.Fprintf(&b, "\n## Closed\n\n%d ways, each tried by a program of `test/escapes` on Linux 6.1, 6.12 and 7.2.\n", closed)
	for _, group := range catalogue.Groups() {
		fmt.Fprintf(&b, "\n### %s\n\n| somebody | it is closed because | by the hooks | since |\n|---|---|---|---|\n", group)
		for _, c := range catalogue.Cases() {
			if c.Group == group && c.Open == "" {
				fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", cell(c.Way), cell(c.Closed), cell(strings.Join(c.Hooks, ", ")), cmp.Or(c.Since, "6.1"))
			}
		}
	}
	b.WriteString("\n## Open, and why\n\n| somebody | why |\n|---|---|\n")
	for _, c := range catalogue.Cases() {
		if c.Open != "" {
			fmt.Fprintf(&b, "| %s | %s |\n", cell(c.Way), cell(c.Open))
		}
	}
	b.WriteString("\n## Hooks\n\nA hook is attached while some rule needs it. On a kernel that lacks one, and what stands for it there, the rules that need it are\n" +
		"refused at a reload, and listed as NOT ENFORCED after a start; `hostarmor status` names the hook.\n\n| hook | judges | since | before that |\n|---|---|---|---|\n")
	for _, h := range bpflsm.Hooks() {
		name := h.Name
		if h.Traced != "" {
			name += " (traces " + h.Traced + ")"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", name, cell(h.Judges), h.Since, h.Before)
	}
	return b.String()
}

func cell(s string) string { return strings.ReplaceAll(s, "|", "\\|") }
