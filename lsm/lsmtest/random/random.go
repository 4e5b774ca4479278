// Package random makes random policies, subjects and accesses over few short
// names, so that rules overlap often: for tests that hold two judges of the
// same policies against each other.
package random

import (
	"fmt"
	"math/rand/v2"

	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/lsm"
)

// Source makes values. Equal seeds and supports give equal values.
type Source struct {
	*rand.Rand
	support lsm.Support
}

// New is a source whose policies ask for nothing that the support lacks; the
// zero Support lacks nothing.
func New(seed uint64, support lsm.Support) Source {
	return Source{rand.New(rand.NewPCG(seed, 1)), support}
}

// Chance is true in so many of 100 cases.
func (r Source) Chance(percent int) bool { return r.IntN(100) < percent }

// Pick is one of the list.
func Pick[T any](r Source, list ...T) T { return list[r.IntN(len(list))] }

// some is a few of the list, perhaps one twice; none in the other cases.
func some[T any](r Source, percent, most int, list ...T) []T {
	if !r.Chance(percent) {
		return nil
	}
	var out []T
	for range 1 + r.IntN(most) {
		out = append(out, Pick(r, list...))
	}
	return out
}

func (r Source) offers(f lsm.Feature) bool {
	_, lacks := r.support.Lacks[f]
	return !lacks
}

// Policies is one policy to three.
func (r Source) Policies() []hostpolicy.Policy {
	var list []hostpolicy.Policy
	classes := r.classes()
	if len(classes) == 0 {
		return nil
	}
	for i := range 1 + r.IntN(3) {
		p := hostpolicy.Policy{
			Name:      fmt.Sprintf("p%d", i),
			AppliesTo: r.selector(),
			Otherwise: Pick(r, hostpolicy.Block, hostpolicy.Audit),
			Dangerous: r.Chance(30),
		}
		if r.Chance(20) {
			p.Postures = map[hostpolicy.Class]hostpolicy.Action{Pick(r, classes...): Pick(r, hostpolicy.Block, hostpolicy.Audit)}
		}
		conditions := Pick(r, 0, 15, 50)
		for j := range 1 + r.IntN(5) {
			rule := r.rule(Pick(r, classes...))
			rule.Policy, rule.Name = p.Name, fmt.Sprintf("r%d", j)
			rule.From, rule.ExceptFrom = r.patterns(conditions, 2), r.patterns(conditions, 2)
			p.Rules = append(p.Rules, rule)
		}
		list = append(list, p)
	}
	return list
}

// classes is those that the support has, the likeliest several times.
func (r Source) classes() []hostpolicy.Class {
	var list []hostpolicy.Class
	for _, c := range []struct {
		class   hostpolicy.Class
		feature lsm.Feature
		weight  int
	}{
		{hostpolicy.Process, lsm.OfProcess, 5}, {hostpolicy.File, lsm.OfFile, 7},
		{hostpolicy.Network, lsm.OfNetwork, 5}, {hostpolicy.Capability, lsm.OfCapability, 2},
	} {
		for range c.weight {
			if r.offers(c.feature) {
				list = append(list, c.class)
			}
		}
	}
	if len(r.operations(hostpolicy.Block)) > 0 {
		list = append(list, hostpolicy.System, hostpolicy.System)
	}
	return list
}

// operations are those that a rule may name. An allow rule makes a list that
// is about all, and so needs all.
func (r Source) operations(action hostpolicy.Action) []hostpolicy.Operation {
	all := hostpolicy.Operations(hostpolicy.System)
	var list []hostpolicy.Operation
	for _, op := range all {
		if r.offers(lsm.OfSystem(op)) {
			list = append(list, op)
		}
	}
	if action == hostpolicy.Allow && len(list) < len(all) {
		return nil
	}
	return list
}

func (r Source) rule(class hostpolicy.Class) hostpolicy.Rule {
	rule := hostpolicy.Rule{
		Class:  class,
		Action: Pick(r, hostpolicy.Block, hostpolicy.Block, hostpolicy.Audit, hostpolicy.Allow),
	}
	switch class {
	case hostpolicy.Process, hostpolicy.File:
		r.paths(&rule)
	case hostpolicy.Network:
		r.network(&rule)
	case hostpolicy.Capability:
		rule.Capabilities = some(r, 100, 3, capabilities...)
	case hostpolicy.System:
		list := r.operations(rule.Action)
		if len(list) == 0 {
			rule.Action = hostpolicy.Block
			list = r.operations(rule.Action)
		}
		rule.Operations = some(r, 100, 4, list...)
	}
	return rule
}

func (r Source) paths(rule *hostpolicy.Rule) {
	rule.Path, rule.Except = r.patterns(100, 3), r.patterns(30, 2)
	rule.OwnerOnly = r.offers(lsm.OwnerOnly) && r.Chance(20)
	within := lsm.Within
	if rule.Access = hostpolicy.Exec; rule.Class == hostpolicy.File {
		rule.Access = Pick(r, hostpolicy.Read, hostpolicy.Write, hostpolicy.Read|hostpolicy.Write)
	} else {
		within = lsm.ProcessWithin
		if r.offers(lsm.Args) {
			rule.Args = some(r, 25, 3, commands...)
		}
	}
	if rule.Action == hostpolicy.Allow && r.offers(within) {
		rule.Within = r.patterns(40, 2)
	}
}

var capabilities = []hostpolicy.Cap{0, 1, 13, 21, 40}

// commands are what rules call programs, and what execs do.
var commands = []string{"sh", "ls", "busybox", "toybox", "coreutils", "a"}

// Selector is whom a policy is for.
func (r Source) selector() hostpolicy.Selector {
	var s hostpolicy.Selector
	place := func(f lsm.Feature, weight int, set func()) func() {
		if r.offers(f) && r.Chance(weight) {
			return set
		}
		return nil
	}
	for _, set := range []func(){
		place(lsm.OnEverything, 15, func() { s.Everything = true }),
		place(lsm.OnContainer, 25, func() { s.Container = r.containerSelector() }),
		place(lsm.OnUnit, 25, func() { s.Unit = some(r, 100, 2, units...) }),
	} {
		if set != nil {
			set()
			break
		}
	}
	s.Host = !s.Everything && s.Container == nil && s.Unit == nil
	if r.offers(lsm.ByUser) {
		s.User = some(r, 20, 2, ids...)
	}
	if r.offers(lsm.ByLogin) {
		s.LoginUser = some(r, 10, 2, ids...)
	}
	if len(s.User)+len(s.LoginUser) > 0 && r.Chance(50) {
		s.Host = false // wherever they are
	}
	return s
}

var (
	units  = hostpolicy.ParseGlobs("nginx.service", "*.service", "system.slice", "cron*", "{user,a-*}.slice", "*load", "[!n]*.service")
	names  = hostpolicy.ParseGlobs("web-*", "web-1", "db", "*")
	images = hostpolicy.ParseGlobs("nginx", "nginx:1.*", "redis", "*")
	values = hostpolicy.ParseGlobs("web", "d*")
	ids    = []hostpolicy.IDs{{First: 0, Last: 0}, {First: 33, Last: 33}, {First: 0, Last: 999}, {First: 1000, Last: 1999}, {First: 1500, Last: hostpolicy.NoLogin}}
)

func (r Source) containerSelector() *hostpolicy.ContainerSelector {
	c := &hostpolicy.ContainerSelector{
		Name: some(r, 50, 2, names...), Image: some(r, 30, 2, images...),
		Namespace: some(r, 10, 1, hostpolicy.ParseGlobs("prod", "*")...),
	}
	if r.Chance(20) {
		c.Labels = []hostpolicy.LabelMatch{{Key: "app", Values: some(r, 100, 2, values...)}}
	}
	if r.Chance(10) {
		c.ExceptLabels = []hostpolicy.LabelMatch{{Key: "tier", Values: some(r, 100, 2, values...)}}
	}
	return c
}

// Capability is one of a few.
func (r Source) Capability() hostpolicy.Cap { return Pick(r, append(capabilities, 2, 39)...) }
