package lsm

import (
	"maps"

	"github.com/hostarmor/hostarmor/hostpolicy"
)

// Feature is something that a rule or a selector asks of a backend.
type Feature string

const (
	OfProcess    Feature = "process" // the classes; system is told apart by operation
	OfFile       Feature = "file"
	OfNetwork    Feature = "network"
	OfCapability Feature = "capability"

	OnHost       Feature = "applies_to.host"
	OnEverything Feature = "applies_to.everything"
	OnContainer  Feature = "applies_to.container"
	OnUnit       Feature = "applies_to.unit"
	ByUser       Feature = "applies_to.user"
	ByLogin      Feature = "applies_to.login_user"

	OwnerOnly     Feature = "owner_only"
	Args          Feature = "args"
	Within        Feature = "within"         // of files
	ProcessWithin Feature = "process.within" // of programs
)

// OfSystem is the feature of one operation of class system.
func OfSystem(op hostpolicy.Operation) Feature { return Feature("system." + op.String()) }

// Features are all there are.
func Features() []Feature {
	list := []Feature{
		OfProcess, OfFile, OfNetwork, OfCapability, OnHost, OnEverything, OnContainer, OnUnit, ByUser, ByLogin,
		OwnerOnly, Args, Within, ProcessWithin,
	}
	for _, op := range hostpolicy.Operations(hostpolicy.System) {
		list = append(list, OfSystem(op))
	}
	return list
}

// Offers is what this version's backend enforces on a kernel that has all that
// it asks for; ok is false for a name that is no backend's.
func Offers(backend string) (s Support, ok bool) {
	offers := map[Feature]bool{}
	reason := "no AppArmor backend in this version"
	switch backend {
	case "bpf":
		for _, f := range []Feature{OfProcess, OfFile, OnHost, OnUnit, ByUser, ByLogin, OwnerOnly, Args, Within, ProcessWithin} {
			offers[f] = true
		}
		for _, op := range hostpolicy.Operations(hostpolicy.System) {
			offers[OfSystem(op)] = true
		}
		reason = "not in this version"
	case "apparmor":
	default:
		return Support{}, false
	}
	s = Support{Backend: backend, Lacks: make(map[Feature]string)}
	for _, f := range Features() {
		if !offers[f] {
			s.Lacks[f] = reason
		}
	}
	return s, true
}

// Add is the support that lacks and misses what either does, for a kernel that
// was probed and a backend that offers less.
func (s Support) Add(o Support) Support {
	s.Missing, s.Lacks = maps.Clone(s.Missing), maps.Clone(s.Lacks)
	if s.Missing == nil {
		s.Missing = make(map[Kind]string)
	}
	if s.Lacks == nil {
		s.Lacks = make(map[Feature]string)
	}
	maps.Copy(s.Missing, o.Missing)
	maps.Copy(s.Lacks, o.Lacks)
	return s
}
