// Package settings reads hostarmor.toml. What leaves it is valid: raw values
// stop here. Every key of the contract is known, each problem has its
// position, and a key whose feature this version lacks is accepted with its
// default value only, because a setting that is read and then ignored would be
// a silent gap.
package settings

import (
	"time"

	"github.com/hostarmor/hostarmor/hostpolicy"
)

// DefaultFile is where the daemon looks for its settings.
const DefaultFile = "/etc/hostarmor/hostarmor.toml"

// Backend is what is asked to enforce.
type Backend string

// The backends that can be asked for.
const (
	BackendAuto Backend = "auto"
	BackendBPF  Backend = "bpf"
)

// Settings are the keys that this version acts upon.
type Settings struct {
	Backend Backend
	// Required refuses the start where nothing can enforce.
	Required bool
	// WarnUnsupported lets a reload pass with rules that the backend cannot
	// enforce, and lists them; otherwise they refuse it.
	WarnUnsupported bool
	// KeepOnStop leaves enforcement in the kernel at `systemctl stop`.
	KeepOnStop bool
	// BootGuard starts a set in audit after a boot that it did not survive.
	BootGuard bool
	Protect   Protect
	Events    Events
	// Dirs hold the policies; of two files of one name the first wins.
	Dirs []string
	// NodeLabels are this machine's, for KubeArmor's nodeSelector.
	NodeLabels map[string]string
	Posture    Posture
}

// Protect says what HostArmor protects of itself.
type Protect struct {
	// Self: process, programs, state, pins and control group.
	Self bool
	// Policies: policy files and settings change only while unlocked.
	Policies bool
}

// Posture is what becomes of an access that no KubeArmor Allow rule permits,
// Block or Audit, by class: File governs files and processes.
type Posture struct{ File, Network, Capabilities hostpolicy.Action }

// Events says where events go.
type Events struct {
	Journal bool
	Fold    time.Duration // the window in which repeats become one record; 0 folds nothing
	File    string        // JSON lines, absolute; "" = no file
}

// Default is what an empty file means.
func Default() Settings {
	return Settings{
		Backend:   BackendAuto,
		BootGuard: true,
		Protect:   Protect{Self: true},
		Events:    Events{Journal: true, Fold: time.Second},
		Posture:   Posture{hostpolicy.Audit, hostpolicy.Audit, hostpolicy.Audit},
		Dirs:      []string{"/etc/hostarmor/policies", "/run/hostarmor/policies", "/usr/lib/hostarmor/policies"},
	}
}

// Load parses the settings in data; name stands in positions. With problems
// the settings that were understood are returned, the others at their default.
func Load(name string, data []byte) (Settings, []hostpolicy.Problem) {
	s := Default()
	d := document{name: name, text: string(data)}
	d.decode(&s)
	return s, d.problems
}
