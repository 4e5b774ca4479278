//go:build e2e

package escapes

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// cgroups is a slice of this test's own. A unit is the name of a cgroup, so it
// takes no systemd to be in one.
const cgroups = "/sys/fs/cgroup/escapes.slice"

// unit is the unit of a case.
func (c *ctx) unit() string { return c.name + ".service" }

// onUnit is the frame of a policy for it.
func onUnit(c *ctx, rules string, args ...any) string {
	return fmt.Sprintf("[applies_to]\nunit = %q\n\n", c.unit()) + fmt.Sprintf(rules, args...)
}

// cgroup opens a cgroup of the slice, making it.
func cgroup(name string) (*os.File, error) {
	path := filepath.Join(cgroups, name)
	if err := os.MkdirAll(path, 0o755); err != nil {
		return nil, err
	}
	return os.Open(path)
}

// enter goes on at a stage in a cgroup.
func (c *ctx) enter(stage, group string, attr *syscall.SysProcAttr) error {
	dir, err := cgroup(group)
	if err != nil {
		return err
	}
	defer dir.Close()
	if attr == nil {
		attr = &syscall.SysProcAttr{}
	}
	attr.UseCgroupFD, attr.CgroupFD = true, int(dir.Fd())
	return c.respawn(stage, attr)
}

const inUnit = "unit"

// confined runs an attack inside the case's unit, whatever it is aimed at.
func confined(try func(*ctx) error) func(*ctx) error {
	return func(c *ctx) error {
		if c.stage == "" {
			return c.enter(inUnit, c.unit(), nil)
		}
		return try(c)
	}
}

// operation is for attacks that have no target: inside the unit they fail, and
// in another one the same works.
func operation(try func(*ctx) error) func(*ctx) error {
	return func(c *ctx) error {
		if c.stage == "" {
			unit := c.unit()
			if c.base() == "plain" {
				unit = "free.service"
			}
			return c.enter(inUnit, unit, nil)
		}
		return try(c)
	}
}

// leaves moves the calling process to a cgroup, given by its path.
func leaves(group string) error {
	return at("move to "+group, os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte("0"), 0))
}

const everywhere = "/sys/fs/cgroup"

func unitSecret(c *ctx) string { return onUnit(c, "[file.secret]\npath = %q\n", c.secret()) }

// dockerScope is the cgroup of a container, to who believes names.
var dockerScope = "docker-" + strings.Repeat("0123456789abcdef", 4) + ".scope"

// byUser runs an attack as an ordinary user who was given a cgroup to manage.
func byUser(try func(c *ctx, delegated string) error) func(*ctx) error {
	return func(c *ctx) error {
		name := "user-" + c.name
		delegated := filepath.Join(cgroups, name)
		if c.stage != "" {
			return try(c, delegated)
		}
		dir, err := cgroup(name)
		if err != nil {
			return err
		}
		dir.Close()
		for _, f := range []string{"", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"} {
			if err := os.Chown(filepath.Join(delegated, f), 1000, 1000); err != nil {
				return err
			}
		}
		return c.enter("user", name, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 1000, Gid: 1000}})
	}
}

// pretends makes a cgroup of a name, enters it, and uses the target.
func pretends(name string) func(*ctx, string) error {
	return func(c *ctx, delegated string) error {
		group := filepath.Join(delegated, name)
		if err := os.MkdirAll(group, 0o755); err != nil {
			return err
		}
		if err := leaves(group); err != nil {
			return err
		}
		return c.read(c.target)
	}
}

func init() {
	register(
		attack{name: "unit-systemd", policy: unitSecret, as: actor{unit: "unit-systemd.service"},
			try: func(c *ctx) error { return c.read(c.target) }},
		attack{name: "unit-moves-out", policy: unitSecret,
			try: confined(func(c *ctx) error {
				if err := leaves(everywhere); err != nil {
					return err
				}
				return c.read(c.target)
			})},
		attack{name: "unit-starts-outside", policy: unitSecret,
			try: confined(func(c *ctx) error {
				if c.stage == inUnit {
					return c.enter("outside", "free.service", nil)
				}
				return c.read(c.target)
			})},
		attack{name: "unit-child-cgroup", policy: unitSecret,
			try: confined(func(c *ctx) error {
				group := filepath.Join(cgroups, c.unit(), "child", "other.service")
				if err := os.MkdirAll(group, 0o755); err != nil {
					return err
				}
				if err := leaves(group); err != nil {
					return err
				}
				return c.read(c.target)
			})},
		attack{name: "unit-cgroup-namespace", policy: unitSecret,
			try: confined(func(c *ctx) error {
				if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
					return err
				}
				return c.read(c.target)
			})},
		attack{name: "unit-other-user", policy: unitSecret,
			try: confined(func(c *ctx) error {
				if err := unix.Setresuid(64001, 64001, 64001); err != nil {
					return err
				}
				return c.read(c.target)
			})},
		attack{name: "cgroup-like-container", try: byUser(pretends(dockerScope))},
		attack{name: "cgroup-like-unit",
			policy: func(c *ctx) string {
				return fmt.Sprintf("action = \"allow\"\nwithin = %q\n\n[applies_to]\nuser = 1000\n\n[file.list]\npath = %q\n", c.vault+"/", c.plain())
			},
			setup: func(c *ctx) error {
				// What the user would like to have.
				return writePolicy(c.name+"-wish", fmt.Sprintf("action = \"allow\"\nwithin = %q\n\n[applies_to]\nunit = \"wish-%s\"\n\n[file.list]\npath = %q\n",
					c.vault+"/", c.unit(), c.vault+"/"))
			},
			try: byUser(func(c *ctx, delegated string) error { return pretends("wish-"+c.unit())(c, delegated) })},
	)
}

// newMounts and privateMounts give a child mounts of its own, in two steps: the
// namespace at its start, and then no propagation back.
func newMounts() *syscall.SysProcAttr { return &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS} }

func privateMounts() error {
	return at("make mounts private", unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
}
