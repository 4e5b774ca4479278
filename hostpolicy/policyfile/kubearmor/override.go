package kubearmor

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hostarmor/hostarmor/hostpolicy"
)

// In KubeArmor a rule with fromSource counts before one without. So an Allow
// with fromSource is an exception from the Blocks without it, which here would
// win. The functions below write such exceptions into the Block rules.

// maxPairs bounds the exceptions that a policy is looked at for.
const maxPairs = 20000

// override is for the rules of one class from index first on, all of one
// policy. Parts makes the rules that remain for a program for which these Allow
// rules are.
func (b *builder) override(first int, touches func(block, allow *hostpolicy.Rule) bool, parts func(block hostpolicy.Rule, allows []*hostpolicy.Rule) []hostpolicy.Rule) {
	var allows []*hostpolicy.Rule // copies, because new rules move the others
	var blocks []int
	programs := 0
	for i := first; i < len(b.policy.Rules); i++ {
		switch r := b.policy.Rules[i]; {
		case r.Action == hostpolicy.Allow && len(r.From) > 0:
			allows = append(allows, &r)
			programs += len(r.From)
		case r.Action == hostpolicy.Block && len(r.From) == 0:
			blocks = append(blocks, i)
		}
	}
	if programs*len(blocks) > maxPairs {
		at := b.policy.Rules[first].Position
		b.err(codeTooLarge, pos{at.Line, at.Column}, "", fmt.Sprintf("%d programs with Allow rules of their own and %d Block rules for all make more than %d exceptions", programs, len(blocks), maxPairs), "split the policy")
		return
	}
	for _, i := range blocks {
		block := b.policy.Rules[i]
		sources, order, places := make(map[hostpolicy.Pattern][]*hostpolicy.Rule), []hostpolicy.Pattern(nil), []hostpolicy.Position(nil)
		for _, allow := range allows {
			if !touches(&block, allow) {
				continue
			}
			for k, s := range allow.From {
				if sources[s] == nil {
					order, places = append(order, s), append(places, allow.Places.From[k])
				}
				sources[s] = append(sources[s], allow)
			}
		}
		if len(order) == 0 {
			continue
		}
		b.policy.Rules[i].ExceptFrom, b.policy.Rules[i].Places.ExceptFrom = order, places
		b.notes = append(b.notes, remark{ruleKey(&block), "an Allow rule with fromSource is for the programs of except_from, and in KubeArmor it counts first"})
		for k, s := range order {
			for _, r := range parts(block, sources[s]) {
				r.From, r.Places.From = []hostpolicy.Pattern{s}, places[k:k+1]
				b.add(r, block.Name+"-"+base(s.String()), pos{block.Position.Line, block.Position.Column}, traitsOf(&block), len(b.problems))
			}
		}
	}
}

func traitsOf(r *hostpolicy.Rule) traits { return traits{r.Action, r.Severity, r.Tags, r.Message} }

func (b *builder) overridePaths(first int) {
	b.override(first, func(block, allow *hostpolicy.Rule) bool {
		return block.Access&allow.Access != 0 && slices.ContainsFunc(block.Path, func(p hostpolicy.Pattern) bool {
			return slices.ContainsFunc(allow.Path, func(q hostpolicy.Pattern) bool { return !disjoint(p, q) })
		})
	}, pathParts)
}

// pathParts is a block rule without the files that a program may use. What the
// Allow rules permit may differ between reading and writing.
func pathParts(block hostpolicy.Rule, allows []*hostpolicy.Rule) []hostpolicy.Rule {
	var parts []hostpolicy.Rule
	for _, bit := range []hostpolicy.Access{hostpolicy.Read, hostpolicy.Write, hostpolicy.Exec} {
		if block.Access&bit == 0 {
			continue
		}
		r := block
		r.Access = bit
		r.Except, r.Places.Except = slices.Clone(r.Except), slices.Clone(r.Places.Except)
		covered := false
		for _, a := range allows {
			if a.Access&bit == 0 {
				continue
			}
			if a.OwnerOnly {
				others := *a
				others.Access, others.OwnerOnly = bit, true
				parts = append(parts, others)
			}
			paths := a.Path
			if len(a.Except) > 0 {
				// A directory that is not recursive.
				paths = direct(a.Path)
			}
			covered = covered || !slices.ContainsFunc(r.Path, func(p hostpolicy.Pattern) bool {
				return !slices.ContainsFunc(paths, func(q hostpolicy.Pattern) bool { return covers(q, p) })
			}) || len(a.Except) > 0 && slices.Equal(a.Path, r.Path) && slices.Equal(a.Except, r.Except)
			r.Except = append(r.Except, paths...)
			r.Places.Except = append(r.Places.Except, slices.Repeat(a.Places.Path[:1], len(paths))...)
		}
		if covered {
			continue
		}
		if n := len(parts) - 1; n >= 0 && !parts[n].OwnerOnly && slices.Equal(parts[n].Except, r.Except) {
			parts[n].Access |= bit
			continue
		}
		parts = append(parts, r)
	}
	return parts
}

// direct is a directory and its entries, without what is deeper.
func direct(dirs []hostpolicy.Pattern) []hostpolicy.Pattern {
	var out []hostpolicy.Pattern
	for _, dir := range dirs {
		text := dir.String()
		for _, t := range []string{strings.TrimSuffix(text, "/"), text + "*"} {
			if p, err := hostpolicy.ParsePattern(t); err == nil {
				out = append(out, p)
			}
		}
	}
	return out
}

// disjoint reports whether certainly no file matches both patterns.
func disjoint(p, q hostpolicy.Pattern) bool {
	a, restA := p.Split()
	b, restB := q.Split()
	switch {
	case restA == "" && restB == "":
		return a != b
	case restA == "":
		return !q.Match(a)
	case restB == "":
		return !p.Match(b)
	}
	return !beneath(a, b) && !beneath(b, a)
}

func beneath(name, dir string) bool {
	return name == dir || dir == "/" || strings.HasPrefix(name, dir+"/")
}

// covers reports whether certainly every file that p matches matches q too.
func covers(q, p hostpolicy.Pattern) bool {
	if name, ok := p.Literal(); ok {
		return q.Match(name)
	}
	tree, rest := q.Split()
	prefix, _ := p.Split()
	return p == q || rest == "/" && beneath(prefix, tree)
}

func (b *builder) overrideProtocols(first int) {
	all := hostpolicy.Protocols()
	of := func(r *hostpolicy.Rule) []hostpolicy.Protocol {
		if len(r.Protocol) == 0 {
			return all
		}
		return r.Protocol
	}
	b.override(first, func(block, allow *hostpolicy.Rule) bool {
		return block.Direction == allow.Direction && slices.ContainsFunc(of(block), func(p hostpolicy.Protocol) bool { return slices.Contains(of(allow), p) })
	}, func(block hostpolicy.Rule, allows []*hostpolicy.Rule) []hostpolicy.Rule {
		rest := slices.DeleteFunc(slices.Clone(of(&block)), func(p hostpolicy.Protocol) bool {
			return slices.ContainsFunc(allows, func(a *hostpolicy.Rule) bool { return len(a.Ports) == 0 && slices.Contains(of(a), p) })
		})
		if len(rest) == 0 {
			return nil
		}
		block.Protocol, block.Places.Protocol = rest, nil
		return []hostpolicy.Rule{block}
	})
}

func (b *builder) overrideCapabilities(first int) {
	b.override(first, func(block, allow *hostpolicy.Rule) bool {
		return slices.ContainsFunc(block.Capabilities, func(c hostpolicy.Cap) bool { return slices.Contains(allow.Capabilities, c) })
	}, func(block hostpolicy.Rule, allows []*hostpolicy.Rule) []hostpolicy.Rule {
		rest := slices.DeleteFunc(slices.Clone(block.Capabilities), func(c hostpolicy.Cap) bool {
			return slices.ContainsFunc(allows, func(a *hostpolicy.Rule) bool { return slices.Contains(a.Capabilities, c) })
		})
		if len(rest) == 0 {
			return nil
		}
		block.Capabilities, block.Places.Capabilities = rest, nil
		return []hostpolicy.Rule{block}
	})
}

// overruled warns of Allow rules for every program that a Block rule for the
// very same thing leaves without effect.
func (b *builder) overruled() {
	type name struct {
		class hostpolicy.Class
		path  string // of a file, or of a directory with its slash
	}
	blocks := make(map[name]*hostpolicy.Rule)
	for i := range b.policy.Rules {
		r := &b.policy.Rules[i]
		if r.Action != hostpolicy.Block || len(r.From)+len(r.ExceptFrom)+len(r.Except) > 0 || r.OwnerOnly {
			continue
		}
		for _, p := range r.Path {
			if tree, rest := p.Split(); rest == "" || rest == "/" {
				blocks[name{r.Class, strings.TrimSuffix(tree, "/") + rest}] = r
			}
		}
	}
	for i := range b.policy.Rules {
		allow := &b.policy.Rules[i]
		if allow.Action != hostpolicy.Allow || len(allow.Path) == 0 || len(allow.From)+len(allow.Except) > 0 {
			continue
		}
		tree, rest := allow.Path[0].Split()
		tree = strings.TrimSuffix(tree, "/")
		candidates := []string{tree + rest}
		for dir := tree; ; dir = dir[:strings.LastIndexByte(dir, '/')] {
			candidates = append(candidates, dir+"/")
			if dir == "" {
				break
			}
		}
		for _, c := range candidates {
			block := blocks[name{allow.Class, c}]
			if block == nil || block.Access&allow.Access != allow.Access {
				continue
			}
			b.report(hostpolicy.Warning, codeOverruled, pos{allow.Position.Line, allow.Position.Column}, "",
				fmt.Sprintf("this Allow has no effect, because the Block in line %d covers it and Block wins, as with KubeArmor's AppArmor enforcer", block.Position.Line),
				"narrow that Block, or remove this entry").rule = ruleKey(allow)
			break
		}
	}
}
