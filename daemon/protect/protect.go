// Package protect makes the policy by which HostArmor protects itself. It is
// compiled with the policies of files and stands in no file.
package protect

import (
	"fmt"
	"slices"

	"github.com/hostarmor/hostarmor/daemon/settings"
	"github.com/hostarmor/hostarmor/hostpolicy"
)

const (
	// Name is the policy's. No policy of a file may have it.
	Name = "hostarmor"
	// Source stands for its file.
	Source = "(built in)"
	// Policies is the id of the rule that `hostarmor unlock` lifts.
	Policies = Name + "/file." + policiesRule

	policiesRule = "policies"
)

// Where the packages install, and where systemd puts the service.
const (
	daemonProgram = "/usr/sbin/hostarmord"
	pins          = "/sys/fs/bpf/hostarmor/"
	slice         = "/sys/fs/cgroup/system.slice/"
	group         = slice + "hostarmor.service/"
)

// Places are those that the daemon's configuration may put elsewhere: absolute
// and clean.
type Places struct {
	State    string   // directory
	Socket   string   // the control socket
	Settings string   // file
	Dirs     []string // of policies
}

var (
	// packageManagers write files themselves. dnf 4 is a program of Python,
	// and to except Python would be to except every script.
	packageManagers = []string{"/usr/bin/dpkg", "/usr/bin/rpm", "/usr/bin/dnf5", "/usr/bin/microdnf", "/usr/libexec/packagekitd"}

	// systemd makes the service's directories and control group; its child
	// does that before it becomes the daemon. systemd-tmpfiles is not here:
	// it writes whatever a file says that its caller names.
	serviceManager = []string{"/usr/lib/systemd/systemd", "/usr/lib/systemd/systemd-executor"}
)

// Policy is the policy for these settings, nil where they protect nothing.
// While unlocked it lets policy files be changed. An error is a place that no
// pattern can name.
func Policy(s settings.Protect, at Places, unlocked bool) (*hostpolicy.Policy, error) {
	b := builder{}
	if s.Policies && !unlocked {
		b.policies(at)
	}
	if s.Self {
		b.self(at)
	}
	if b.err != nil {
		return nil, fmt.Errorf("protect HostArmor itself: %w", b.err)
	}
	if len(b.rules) == 0 {
		return nil, nil
	}
	slices.SortFunc(b.rules, func(x, y hostpolicy.Rule) int {
		if x.Class != y.Class {
			return int(x.Class) - int(y.Class)
		}
		if x.Name < y.Name {
			return -1
		}
		return 1
	})
	return &hostpolicy.Policy{
		Name: Name, Self: true, Position: hostpolicy.Position{File: Source},
		AppliesTo: hostpolicy.Selector{Host: true}, Otherwise: hostpolicy.Audit, Rules: b.rules,
	}, nil
}

type builder struct {
	rules []hostpolicy.Rule
	err   error
}

func (b *builder) self(at Places) {
	b.file("programs", hostpolicy.Block, "HostArmor's own programs",
		[]string{
			daemonProgram, "/usr/bin/hostarmor",
			"/usr/lib/systemd/system/hostarmor.service", "/usr/lib/systemd/system/hostarmor.service.d/",
		}, packageManagers)
	// `systemctl mask`, `disable` and `edit` are an administrator's, with an
	// editor that no list can hold: so what overrides the unit is only noted.
	// The set of one letter keeps a mask, which is a link to /dev/null, from
	// being followed there.
	b.file("overrides", hostpolicy.Audit, "the unit of HostArmor is changed",
		[]string{
			"/{etc,run}/systemd/{system,system.control}/[h]ostarmor.service",
			"/{etc,run}/systemd/{system,system.control}/hostarmor.service.d/",
			"/{etc,run}/systemd/system/sysinit.target.wants/[h]ostarmor.service",
		}, packageManagers)
	b.file("state", hostpolicy.Block, "HostArmor's own state",
		[]string{directory(at.State), hostpolicy.Escape(at.Socket)},
		[]string{daemonProgram}, packageManagers, serviceManager)
	b.file("pins", hostpolicy.Block, "what HostArmor has in the kernel",
		[]string{pins}, []string{daemonProgram})
	// The slice above it can be frozen and killed as well, with all in it.
	b.file("unit", hostpolicy.Block, "HostArmor's control group",
		[]string{group, slice + "cgroup.{freeze,kill}"}, []string{daemonProgram}, serviceManager)
	b.rules = append(b.rules, hostpolicy.Rule{
		Policy: Name, Class: hostpolicy.System, Name: "process", Position: hostpolicy.Position{File: Source},
		Action: hostpolicy.Block, Severity: severity, Tags: tags(), Message: "HostArmor's own process",
		Operations: []hostpolicy.Operation{hostpolicy.OpTamper},
		ExceptFrom: b.patterns([]string{daemonProgram}),
	})
}

func (b *builder) policies(at Places) {
	paths := []string{"/etc/hostarmor/", hostpolicy.Escape(at.Settings)}
	for _, dir := range at.Dirs {
		paths = append(paths, directory(dir))
	}
	b.file(policiesRule, hostpolicy.Block, "policies change only after: hostarmor unlock",
		paths, []string{daemonProgram}, packageManagers, serviceManager)
}

const severity = 9

func tags() []string { return []string{"MITRE_T1562.001"} }

// file adds a rule about changing files, for all programs but some.
func (b *builder) file(name string, a hostpolicy.Action, message string, paths []string, except ...[]string) {
	b.rules = append(b.rules, hostpolicy.Rule{
		Policy: Name, Class: hostpolicy.File, Name: name, Position: hostpolicy.Position{File: Source},
		Action: a, Severity: severity, Tags: tags(), Message: message,
		Path: b.patterns(paths), Access: hostpolicy.Write, ExceptFrom: b.patterns(slices.Concat(except...)),
	})
}

func (b *builder) patterns(texts []string) []hostpolicy.Pattern {
	var list []hostpolicy.Pattern
	for _, text := range texts {
		p, err := hostpolicy.ParsePattern(text)
		if err != nil {
			b.err = err
			return nil
		}
		if !slices.Contains(list, p) {
			list = append(list, p)
		}
	}
	return list
}

func directory(path string) string { return hostpolicy.Escape(path) + "/" }
