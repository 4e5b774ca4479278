package compile

import (
	"cmp"
	"slices"
	"strings"

	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/lsm"
)

// labelRows are the labels of a ruleset in the making: first those of names,
// then those that they lead to, for owners of files and commands of programs.
type labelRows struct {
	rules    []lsm.Rule
	first    int // number of the first row
	rows     []lsm.LabelRow
	programs *setTable // classes of programs
	scopes   *setTable // classes of scopes
	applets  []lsm.AppletRow
	limit    int // for commands
}

func (l *labelRows) add(m members) {
	var row lsm.LabelRow
	row.Program, _ = l.programs.intern(m.programs)
	row.Scope, _ = l.scopes.intern(m.scope)
	row.Beneath, _ = l.scopes.intern(m.beneath)
	row.Held, _ = l.scopes.intern(m.held)
	row.Rules = m.rules
	l.rows = append(l.rows, row)
}

// derive adds the labels that those of names lead to.
func (l *labelRows) derive() error {
	names := len(l.rows)
	for i := range names {
		plain := l.first + i
		if slices.ContainsFunc(l.rows[i].Rules, func(id lsm.RuleID) bool { return l.rules[id-1].OwnerOnly }) {
			twin := l.rows[i]
			twin.Owner = true
			owned := l.append(twin)
			l.rows[i].Owned = owned
			if err := l.commands(int(owned)); err != nil {
				return err
			}
		}
		if err := l.commands(plain); err != nil {
			return err
		}
	}
	slices.SortFunc(l.applets, func(a, b lsm.AppletRow) int {
		return cmp.Or(cmp.Compare(a.Label, b.Label), strings.Compare(a.Name, b.Name))
	})
	return nil
}

func (l *labelRows) append(row lsm.LabelRow) lsm.Label {
	l.rows = append(l.rows, row)
	return lsm.Label(l.first + len(l.rows) - 1)
}

// commands adds the labels for the commands that a program's rules name. A
// multi-call program called by its own name is called by the next name too.
func (l *labelRows) commands(label int) error {
	row := l.rows[label-l.first]
	byName := make(map[string][]lsm.RuleID)
	for _, id := range row.Rules {
		if l.rules[id-1].Class != hostpolicy.Process {
			continue
		}
		for _, name := range l.rules[id-1].Args {
			if list := byName[name]; len(list) == 0 || list[len(list)-1] != id {
				byName[name] = append(list, id)
			}
		}
	}
	if len(byName) == 0 {
		return nil
	}
	names := make([]string, 0, len(byName))
	for name := range byName {
		names = append(names, name)
	}
	slices.Sort(names)
	known := map[string]lsm.Label{"": lsm.Label(label)} // by what is called
	queue := []lsm.Label{lsm.Label(label)}
	queued := map[lsm.Label]bool{queue[0]: true}
	for len(queue) > 0 {
		from := queue[0]
		queue = queue[1:]
		for _, name := range names {
			called := unite(l.rows[int(from)-l.first].Called, byName[name])
			if len(called) == len(l.rows[int(from)-l.first].Called) {
				continue
			}
			key := string(appendSet(nil, called))
			to, ok := known[key]
			if !ok {
				next := row
				next.Called, next.Owned = called, 0
				to = l.append(next)
				known[key] = to
			}
			l.applets = append(l.applets, lsm.AppletRow{Label: from, Name: name, To: to})
			if len(l.applets) > l.limit {
				return l.tooManyCommands()
			}
			if multiCall(name) && !queued[to] {
				queued[to] = true
				queue = append(queue, to)
			}
		}
	}
	return nil
}

// multiCall reports whether a program of this name looks at its next argument,
// as hostpolicy.Applets has it.
func multiCall(name string) bool { return len(hostpolicy.Applets([]string{name, "x"})) > 1 }

func unite[T cmp.Ordered](a, b []T) []T {
	set := slices.Concat(a, b)
	slices.Sort(set)
	return slices.Compact(set)
}

func (l *labelRows) tooManyCommands() error {
	counts := make(blame, len(l.rules))
	for i := range l.rules {
		counts[i] = len(l.rules[i].Args)
	}
	return &tooLarge{"labels for the commands of programs", l.limit, counts.worst(), "fewer args in"}
}
