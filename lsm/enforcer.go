package lsm

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hostarmor/hostarmor/hostpolicy"
)

// ErrUnsupported is wrapped by Probe's error where this kernel cannot enforce
// with this backend at all. Its text says which condition fails and what an
// administrator does about it.
var ErrUnsupported = errors.New("this kernel cannot enforce policies")

// Mode is how far verdicts reach.
type Mode uint8

const (
	Enforce   Mode = iota + 1
	AuditOnly      // nothing is denied, everything that would be is logged
)

func (m Mode) String() string {
	switch m {
	case Enforce:
		return "enforce"
	case AuditOnly:
		return "audit"
	}
	return fmt.Sprintf("Mode(%d)", uint8(m))
}

// Support is what a kernel can enforce with one backend.
type Support struct {
	Backend string // "bpf" or "apparmor"
	Kernel  string // release, "6.1.0-56-cloud-amd64"
	// Missing maps each Kind that cannot be enforced to the reason.
	Missing map[Kind]string
	// Lacks maps what rules can ask for and cannot have to the reason.
	Lacks map[Feature]string
}

// Status is what the kernel holds now.
type Status struct {
	// Generation counts the rulesets that this machine's kernel was given
	// since boot; 0 means that nothing is enforced.
	Generation uint64
	// Digest is Ruleset.Digest of what is enforced.
	Digest [32]byte
	Mode   Mode
	// Adopted is true where an earlier daemon left it in force.
	Adopted bool
	// Hits counts decisions by rule since the generation began; the index
	// is the RuleID, a repeat that events fold counts each time.
	Hits []uint64
	// Lost is the number of events that found the buffer full, since boot.
	Lost uint64
	// Hooks are the LSM hooks that are attached, for status.
	Hooks []string
}

// Mount is one line of a mount table.
type Mount struct {
	Device uint32 // the kernel's dev_t of the superblock: major<<20 | minor
	Root   string // the directory of the file system that is mounted
	Point  string // where, absolute
}

// Link is a file with several hard links of which rules name at least one. Its
// names are judged for it by whichever it is opened.
type Link struct {
	Device uint32 // as Mount.Device
	Inode  uint64
	Names  []string // canonical names that rules name, in the host's mount table
}

// Host is what a ruleset is placed on: the mount table of PID 1, and the files
// that have more names than the one they are reached by.
type Host struct {
	Mounts []Mount
	Links  []Link
	Moment Moment // before the mount table was read
}

// Moment orders the reading of a mount table among the ends of file systems,
// whose numbers are used again.
type Moment uint64

// ErrStale says that a host was bound as far as it is still true: file systems
// of its mount table are gone since. It is to be read again.
var ErrStale = errors.New("file systems were unmounted since the mount table was read")

// Enforcer has a kernel enforce rulesets. Its methods are called from one
// goroutine, but for Events.
type Enforcer interface {
	// Probe says what this kernel supports; its error wraps ErrUnsupported
	// where that is nothing.
	Probe() (Support, error)
	// Status reads what the kernel holds, from the kernel.
	Status() (Status, error)
	// Adopt takes over what an earlier daemon left in force, if rs on this
	// host is what it enforces: no table is rebuilt. It reports whether
	// that was so. In any case what was in force stays in force.
	Adopt(rs *Ruleset, host Host) (bool, error)
	// Prepare does all that can fail without touching what is in force.
	Prepare(rs *Ruleset, mode Mode, host Host) (Txn, error)
	// Moment is asked for before the mount table is read.
	Moment() Moment
	// Bind renews the host's mount table and links under the ruleset in
	// force, without a new generation where that is possible. ErrStale is
	// an error after which all the rest is bound.
	Bind(host Host) error
	// Events delivers denials until ctx ends. It may block; the kernel
	// does not wait for it.
	Events(ctx context.Context, deliver func(Denial)) error
	// Release lifts enforcement and removes every trace from the kernel.
	Release() error
	// Close gives up the daemon's handles; enforcement stays.
	Close() error
}

// Txn is a prepared change. Exactly one of its methods is called, once.
type Txn interface {
	// Commit switches to the new ruleset. On an error the old one is
	// still in force, whole.
	Commit() error
	// Rollback frees what Prepare built.
	Rollback()
}

// Denial is one decision as the kernel reported it: a block, an audit, or an
// access that could not be judged.
type Denial struct {
	Time       time.Time
	Generation uint64
	Rule       RuleID // 0 for an unjudged access
	Action     hostpolicy.Action
	// Permitted is true for a Block that was let through: in AuditOnly
	// mode, or because PID 1 and the daemon are exempt (Exempt).
	Permitted bool
	Exempt    bool
	Unjudged  bool
	Otherwise bool // an allow-list's `otherwise` decided
	Kind      Kind
	Act       Act    // where Kind is KindAct
	Target    uint32 // pid of the process that is acted upon, 0 where none is
	Operation string // the hook: file_open, path_unlink, ...
	// Resource and the executables are named as the host's mount table
	// does; a name cut at the kernel's limit ends in "...".
	Resource  string
	Resources []string // all names, where there are several
	Exe       string
	ParentExe string
	Comm      string
	PID       uint32 // in the initial pid namespace
	PPID      uint32
	UID       uint32 // in the initial user namespace
	LoginUID  uint32
	// Cgroup is the path below the cgroup root, "/system.slice/cron.service".
	Cgroup   string
	CgroupID uint64
}
