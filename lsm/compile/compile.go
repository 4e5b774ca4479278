// Package compile turns policies into the ruleset that a kernel executes: the
// path patterns into one automaton over path components, the rules that match
// alike into labels, the programs and users that rules tell apart into roles,
// and all that into rows of verdicts. It is pure. Place binds a ruleset to a
// mount table, Bind to a unit or a container; Supported cuts policies down to
// what a backend can enforce before.
package compile

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/lsm"
)

// Codes of the problems that a compilation finds.
const (
	CodeTooLarge  = "HA201" // the automaton or the tables exceed a limit
	CodeDuplicate = "HA202" // two rules with one ID
	CodeNoSubject = "HA203" // a policy that applies to nothing
)

// Codes explains the codes of this package.
var Codes = map[string]hostpolicy.Code{
	CodeTooLarge: {
		Title: "the policies together need more room than the kernel's tables have",
		Why:   "Globs multiply: * and ? before a literal name, and many patterns that begin with **, make every place in a path remember all of them. The message names the rules that take part most.",
		Fix:   `Write fewer or simpler globs in those rules, or name directories: path = "/srv/app/bin/" instead of "/srv/*/b*n/*"`,
	},
	CodeDuplicate: {
		Title: "two rules have the same name",
		Why:   "An event or a status line could not say which of them decided.",
		Fix:   "Rename one of the two tables: [file.certs-2]",
	},
	CodeNoSubject: {
		Title: "the policy applies to nothing",
		Why:   "It says nowhere whom it confines, or names a range that holds nobody, so none of its rules would ever count.",
		Fix:   "applies_to = { host = true }, or everything, container, unit, user or login_user",
	},
}

// Compile builds the ruleset of a policy set. The result depends neither on
// the order of the policies nor on that of their rules. With any problem of
// severity Error the ruleset is nil.
func Compile(policies []hostpolicy.Policy) (*lsm.Ruleset, []hostpolicy.Problem) {
	return compile(policies, defaultLimits)
}

func compile(policies []hostpolicy.Policy, limits limits) (*lsm.Ruleset, []hostpolicy.Problem) {
	rules := sortedRules(policies)
	if problems := checkSet(policies, rules); len(problems) > 0 {
		return nil, problems
	}
	n := newNFA(rules)
	rs := &lsm.Ruleset{Rules: kept(rules)}
	if problems := n.facts(rs, policies, limits); len(problems) > 0 {
		return nil, problems
	}
	if err := n.compile(rs, limits); err != nil {
		return nil, []hostpolicy.Problem{n.problem(err)}
	}
	rs.Digest = digestOf(rs)
	return rs, nil
}

// sortedRules is hostpolicy.SortedRules without a copy of the rules, which are
// large.
func sortedRules(policies []hostpolicy.Policy) []*hostpolicy.Rule {
	type entry struct {
		id   string
		rule *hostpolicy.Rule
	}
	var order []entry
	for i := range policies {
		for j := range policies[i].Rules {
			r := &policies[i].Rules[j]
			order = append(order, entry{r.ID(), r})
		}
	}
	slices.SortStableFunc(order, func(a, b entry) int { return strings.Compare(a.id, b.id) })
	rules := make([]*hostpolicy.Rule, len(order))
	for i, e := range order {
		rules[i] = e.rule
	}
	return rules
}

// kept is what a ruleset keeps of rules.
func kept(rules []*hostpolicy.Rule) []lsm.Rule {
	if len(rules) == 0 {
		return nil
	}
	list := make([]lsm.Rule, len(rules))
	for i, r := range rules {
		list[i] = lsm.Rule{
			Policy: r.Policy, Name: r.Name, Class: r.Class, Action: r.Action, Access: r.Access,
			OwnerOnly: r.OwnerOnly, Limited: len(r.Within) > 0, Severity: r.Severity, Tags: r.Tags, Message: r.Message,
			Position: r.Position, Args: r.Args, Acts: actsOf(r),
		}
	}
	return list
}

// compile adds the tables to a ruleset that has its facts.
func (n *nfa) compile(rs *lsm.Ruleset, limits limits) error {
	auto, err := n.automaton(limits)
	if err != nil {
		return err
	}
	rows := labelRows{
		rules: rs.Rules, rows: make([]lsm.LabelRow, 0, len(auto.labels)),
		programs: newSetTable(), scopes: newSetTable(), limit: limits.applets,
	}
	count := 0
	for _, set := range auto.labels {
		count += n.rulesIn(set)
	}
	store := make([]lsm.RuleID, 0, count)
	for _, set := range auto.labels {
		var m members
		m, store = n.split(set, store)
		rows.add(m)
	}
	if err := rows.derive(); err != nil {
		return err
	}
	rs.Start, rs.States, rs.Edges, rs.Globs = auto.start, auto.states, auto.edges, auto.globs
	rs.Labels, rs.Applets, rs.Programs, rs.Scopes = rows.rows, rows.applets, rows.programs.sets, rows.scopes.sets
	if rs.Network, err = networkOf(n.rules, rs, limits); err != nil {
		return err
	}
	j := newJudge(rs, rs.Labels)
	t := tables{judge: j, held: j.held(rs.PlacesOf(nil, nil)), ownBase: true, limits: limits, marked: j.marks(0)}
	t.role = func(user, program uint32) lsm.Role {
		return hostBase + lsm.Role(user)*lsm.Role(len(rs.Programs)) + lsm.Role(program)
	}
	if err := t.build(); err != nil {
		return err
	}
	rs.Roles, rs.Verdicts, rs.Acts, rs.Traces = t.roles, t.verdicts, t.acts, t.traces
	for i := range rs.States {
		s := &rs.States[i]
		s.Label, s.Below = t.mark(s.Label), t.mark(s.Below)
	}
	t.markRows(rs.Labels, rs.Applets)
	return nil
}

// markRows marks the labels that other labels lead to.
func (t *tables) markRows(labels []lsm.LabelRow, applets []lsm.AppletRow) {
	for i := range labels {
		labels[i].Owned = t.mark(labels[i].Owned)
	}
	for i := range applets {
		applets[i].To = t.mark(applets[i].To)
	}
	for i := range labels {
		labels[i].Marked = t.marked[len(t.labels)-len(labels)+i]
	}
}

// automaton builds the path automaton of all patterns.
func (n *nfa) automaton(limits limits) (*automaton, error) {
	d, err := newDFA(n, limits)
	if err != nil {
		return nil, err
	}
	return d.emit(d.minimise())
}

// checkSet finds what would make the numbering of rules ambiguous, or a rule
// void: both would be a gap.
func checkSet(policies []hostpolicy.Policy, rules []*hostpolicy.Rule) []hostpolicy.Problem {
	var problems []hostpolicy.Problem
	for i := range policies {
		if p := &policies[i]; selectsNobody(&p.AppliesTo) {
			problems = append(problems, hostpolicy.Problem{
				Position: p.Position, Code: CodeNoSubject, Severity: hostpolicy.Error, Field: "applies_to",
				Message: fmt.Sprintf("policy %q applies to nothing that can be compiled", p.Name),
				Fix:     "write host = true",
			})
		}
	}
	for i := 1; i < len(rules); i++ {
		if a, b := rules[i-1], rules[i]; a.ID() == b.ID() {
			problems = append(problems, hostpolicy.Problem{
				Position: b.Position, Code: CodeDuplicate, Severity: hostpolicy.Error, Field: b.Class.String() + "." + b.Name,
				Message: fmt.Sprintf("rule %s is also at %s", b.ID(), a.Position.Source()),
				Fix:     "give one of them another name",
			})
		}
	}
	return problems
}

func selectsNobody(s *hostpolicy.Selector) bool {
	if len(s.User) > 0 && len(merged(s.User)) == 0 || len(s.LoginUser) > 0 && len(merged(s.LoginUser)) == 0 {
		return true // no range of ids holds one
	}
	return !s.Host && !s.Everything && s.Container == nil && len(s.Unit)+len(s.User)+len(s.LoginUser) == 0
}

// problem reports a limit at the rule that is most to blame.
func (n *nfa) problem(err error) hostpolicy.Problem {
	p := hostpolicy.Problem{Code: CodeTooLarge, Severity: hostpolicy.Error, Message: "the policy set " + err.Error()}
	var limit *tooLarge
	if errors.As(err, &limit) && len(limit.rules) > 0 {
		worst := &n.rules[limit.rules[0]]
		p.Position = worst.Position
		p.Field = worst.Class.String() + "." + worst.Name
		p.Fix = cmp.Or(limit.fix, "fewer or simpler globs in") + " " + n.ruleList(limit.rules)
	}
	return p
}
