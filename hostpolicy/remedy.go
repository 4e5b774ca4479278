package hostpolicy

import (
	"fmt"
	"strings"
)

// Remedy says what to write where to get another outcome, for people. The
// arguments are those of Explain.
func (e *Explanation) Remedy(s Subject, op Operation, o Object) string {
	class := op.Class()
	switch {
	case e.Otherwise:
		text := fmt.Sprintf(`an allow rule of class %s that names it lets it through`, class)
		if e.Action == Block {
			text += fmt.Sprintf(`; otherwise = "audit" in %s, and in every other policy whose list refuses it, only logs it`, e.Rule.Policy)
		}
		return text
	case e.Rule == nil || e.Action == Allow:
		return fmt.Sprintf("a block rule of class %s that names it denies it, whatever other rules say", class)
	}
	r := e.Rule
	var ways []string
	if len(s.Programs) > 0 {
		ways = append(ways, fmt.Sprintf("except_from = [%q] lets this program through", Escape(s.Programs[0])))
	}
	switch class {
	case Process, File:
		var names []string
		for _, name := range o.Names {
			if matchAny(r.Path, name) && !matchAny(r.Except, name) {
				names = append(names, fmt.Sprintf("%q", Escape(name)))
			}
		}
		ways = append(ways, fmt.Sprintf("except = [%s] everybody", strings.Join(names, ", ")))
	case Network:
		ways = append(ways, "narrower protocol, address or ports leave it out")
	case Capability:
		ways = append(ways, fmt.Sprintf("without %s in name it is permitted", o.Capability))
	case System:
		ways = append(ways, fmt.Sprintf("without %s in operation it is permitted", op))
	}
	if e.Action == Block {
		ways = append(ways, `action = "audit" only logs it`)
	}
	if len(ways) > 0 && len(s.Programs) == 0 {
		ways[0] = strings.Replace(ways[0], "] everybody", "] lets it through", 1)
	}
	text := fmt.Sprintf("in %s: %s", r.ID(), strings.Join(ways, ", "))
	switch {
	case e.Same == 1:
		text += fmt.Sprintf("; and in one more rule that says %s as well", e.Action)
	case e.Same > 1:
		text += fmt.Sprintf("; and in %d more rules that say %s as well", e.Same, e.Action)
	}
	return text
}
