package random

import (
	"slices"

	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/lsm"
)

// chains are the cgroups of processes, the outermost first.
var chains = [][]string{
	{"system.slice", "nginx.service"},
	{"system.slice", "nginx.service", "payload"},
	{"system.slice", "cron.service"},
	{"system.slice", "cron.service", "nginx.service"},
	{"system.slice", "docker.scope"},
	{"user.slice", "user-1000.slice", "cron.scope"},
	{"a.slice", "a-b.slice", "db.service"},
	{"nginx.service"},
}

// Units are the chains of cgroups that subjects run in, outermost first, for a
// test that has to make them.
func Units() [][]string { return slices.Clone(chains) }

// Subject is somebody who runs on the host, in a unit of it or in a container;
// its programs are the caller's to choose. It is in a unit or a container only
// where the support tells those apart. All its ids are ones that a process can
// have, and LoginUID is NoLogin often.
func (r Source) Subject() hostpolicy.Subject {
	s := hostpolicy.Subject{UID: r.id(), LoginUID: r.id()}
	if s.EUID = s.UID; r.Chance(30) {
		s.EUID = r.id()
	}
	if r.Chance(40) {
		s.LoginUID = hostpolicy.NoLogin
	}
	if r.offers(lsm.OnUnit) && r.Chance(50) {
		s.Units = Pick(r, chains...)
	}
	if r.offers(lsm.OnContainer) && r.Chance(40) {
		s.Container = &hostpolicy.Container{
			Name: Pick(r, "web-1", "/web-2", "db"), Image: Pick(r, "nginx:1.27", "docker.io/library/nginx", "redis:7"),
			Labels: map[string]string{"app": Pick(r, "web", "db")},
		}
		if r.Chance(30) {
			s.Container.Labels["tier"] = Pick(r, "web", "db", "x")
		}
		if r.Chance(30) {
			s.Container.Labels[hostpolicy.NamespaceLabel] = Pick(r, "prod", "test")
		}
	}
	return s
}

// id is a user, often one at the edge of a range that policies name.
func (r Source) id() uint32 {
	return Pick(r, uint32(0), 1, 33, 999, 1000, 1500, 1999, 2000, hostpolicy.NoLogin-1)
}

// Access is one thing that a test can do: who, what and to what.
type Access struct {
	Subject   hostpolicy.Subject
	Operation hostpolicy.Operation
	Object    hostpolicy.Object
	// Owner is the uid that the file belongs to while it is accessed;
	// Object.Owned follows from it and Subject.EUID.
	Owner uint32
}

// Access is a use of the file with these names by the program with those. An
// exec has at least one argument, which are argv as they stand.
func (r Source) Access(programs, names []string) Access {
	a := Access{Subject: r.Subject(), Owner: r.id()}
	a.Subject.Programs = programs
	if r.Chance(30) {
		a.Owner = a.Subject.EUID
	}
	a.Operation = Pick(r, hostpolicy.OpRead, hostpolicy.OpWrite, hostpolicy.OpExec, hostpolicy.OpMap)
	a.Object = hostpolicy.Object{Names: names, Owned: a.Owner == a.Subject.EUID}
	if a.Operation == hostpolicy.OpExec {
		if a.Object.Args = r.Args(); len(a.Object.Args) == 0 {
			a.Object.Args = []string{Pick(r, commands...)}
		}
	}
	return a
}

// Act is an operation of class system that the support has, by the program
// with these names; ok is false where it has none.
func (r Source) Act(programs []string) (a Access, ok bool) {
	list := r.operations(hostpolicy.Block)
	if len(list) == 0 {
		return Access{}, false
	}
	a = Access{Subject: r.Subject(), Operation: Pick(r, list...)}
	a.Subject.Programs = programs
	return a, true
}

// Args are the arguments of an exec, perhaps none.
func (r Source) Args() []string {
	var args []string
	for range r.IntN(4) {
		args = append(args, Pick(r, "", "", "/bin/", "-", "--coreutils-prog=", "/x/-")+Pick(r, commands...))
	}
	return args
}
