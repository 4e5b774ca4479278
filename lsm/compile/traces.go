package compile

import (
	"cmp"
	"slices"

	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/lsm"
)

// Whoever reaches into a process acts as its program. Where a rule lets that
// program do what it refuses to the one that reaches, the reach would undo the
// rule, and so it is judged as the rule judges.

// trusts are the rules of a workload that let programs do what they refuse to
// others, by program list.
type trusts struct {
	found      bool
	exceptFrom [][]lsm.RuleID // block and audit rules
	from       [][]lsm.RuleID // allow rules
	scoped     []lsm.RuleID   // allow rules whose list is within names
}

func (t *tables) findTrusts() trusts {
	c := trusts{exceptFrom: make([][]lsm.RuleID, t.judge.lists+1), from: make([][]lsm.RuleID, t.judge.lists+1)}
	for i := range t.rs.Rules {
		id, f := lsm.RuleID(i+1), &t.rs.Facts[i]
		r := &t.rs.Rules[i]
		switch {
		case !t.held[f.Policy] && !t.base.holds(f.Policy):
		case restricts(r.Action) && f.ExceptFrom != 0:
			c.exceptFrom[f.ExceptFrom] = append(c.exceptFrom[f.ExceptFrom], id)
			c.found = true
		case r.Action == hostpolicy.Allow:
			if f.From != 0 {
				c.from[f.From] = append(c.from[f.From], id)
				c.found = true
			}
			if r.Limited {
				c.scoped = append(c.scoped, id)
			}
		}
	}
	return c
}

// holds is nil-safe: the base role of a workload may be its own.
func (s *subject) holds(policy uint32) bool { return s != nil && s.held[policy] }

// traceRows adds what becomes of a role that reaches into programs: all of
// them, or those of the classes that are new.
func (t *tables) traceRows(id lsm.Role, s *subject, isBase, all bool) {
	if !t.trusts.found {
		return
	}
	own := t.tracer(s)
	var base tracer
	if !isBase {
		base = t.tracer(t.base)
	}
	first := t.firstProgram
	if all {
		first = 0
	}
	for program := first; program < len(t.rs.Programs) && len(t.traces) <= t.limits.verdicts; program++ {
		cell, fallback := own.cell(uint32(program)), lsm.Cell{}
		if !isBase {
			fallback = base.cell(uint32(program))
		}
		if cell != fallback {
			t.traces = append(t.traces, lsm.TraceRow{Role: id, Program: uint32(program), Cell: cell})
		}
	}
}

// tracer is a subject that reaches into processes, and what its allow-lists
// refuse, those within names included.
type tracer struct {
	*tables
	*subject
	refuses [hostpolicy.System + 1]hostpolicy.Action
}

func (t *tables) tracer(s *subject) tracer {
	out := tracer{tables: t, subject: s}
	lists := s.open
	for _, id := range t.trusts.scoped {
		if t.admits(s, id) {
			t.list(&lists[t.rs.Rules[id-1].Class], id)
		}
	}
	for class := range lists {
		out.refuses[class] = lists[class].otherwise().Action
	}
	return out
}

// cell is the verdict on reaching into a program of a class: that of the
// strictest rule, and of those the first.
func (t *tracer) cell(program uint32) lsm.Cell {
	var found lsm.Cell
	add := func(action hostpolicy.Action, id lsm.RuleID) {
		if !found.Action.Valid() || action < found.Action || action == found.Action && id < found.Rule {
			found = lsm.Cell{Action: action, Rule: id, Dangerous: t.policy(id).Dangerous}
		}
	}
	lists := t.rs.Programs[program]
	for _, list := range lists {
		for _, id := range t.trusts.exceptFrom[list] {
			if t.admits(t.subject, id) {
				add(t.rs.Rules[id-1].Action, id)
			}
		}
		for _, id := range t.trusts.from[list] {
			f := &t.rs.Facts[id-1]
			action := t.refuses[t.rs.Rules[id-1].Class]
			if !action.Valid() || t.admits(t.subject, id) || !t.counts(f) {
				continue
			}
			if _, excepted := slices.BinarySearch(lists, f.ExceptFrom); f.ExceptFrom == 0 || !excepted {
				add(action, id)
			}
		}
	}
	return found
}

// counts reports whether a rule is for subjects like this one, whatever they
// run.
func (t *tracer) counts(f *lsm.RuleFacts) bool {
	return t.subject.held[f.Policy] && t.rs.Policies[f.Policy].Users&^t.users == 0
}

// tooManyTraces blames the rules that trust programs.
func (t *tables) tooManyTraces() error {
	counts := make(blame, len(t.rs.Rules))
	for _, rules := range [][][]lsm.RuleID{t.trusts.exceptFrom, t.trusts.from} {
		for list := range rules {
			for _, id := range rules[list] {
				counts[id-1]++
			}
		}
	}
	return &tooLarge{"verdicts for programs that reach into others", t.limits.verdicts, counts.worst(), "fewer different from and except_from in"}
}

func sortTraces(rows []lsm.TraceRow) {
	slices.SortFunc(rows, func(a, b lsm.TraceRow) int {
		return cmp.Or(cmp.Compare(a.Role, b.Role), cmp.Compare(a.Program, b.Program))
	})
}
