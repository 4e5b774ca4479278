//go:build e2e

package escapes

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// attack is how one case of the catalogue is tried.
type attack struct {
	name string // of the case

	// setup makes what the attack needs, as root and before any rule: it finds
	// dir/vault/secret, dir/vault/plain and an empty scratch. It runs twice.
	setup func(c *ctx) error
	// policy is the case's rules in TOML; it denies c.secret() by default.
	policy func(c *ctx) string
	// try goes the way round, in a process of its own. It returns nil if it got
	// through (it has read c.text, or changed c.target), else the errno. It runs
	// without the rule, under it, and at c.plain() in place of the secret: there
	// it has to get through under the rule as well.
	try func(c *ctx) error
	// fine replaces the last of these where the way cannot be aimed at plain.
	fine func(c *ctx) error
	// cleanup undoes what removing dir and the mounts below it does not.
	cleanup func(c *ctx) error
	// alone replaces policy and try, where more than one reload is needed. It
	// runs last, after setup and without any rule in force.
	alone func(t *testing.T, c *ctx)

	// exists is the first kernel that has what the attack uses, "" = all. An
	// older one has to say so: ENOSYS, EINVAL or EOPNOTSUPP.
	exists string
	// refused is the first kernel that may refuse it to everybody, with EIO.
	refused string

	want  syscall.Errno // EACCES by default; not looked at where the case is open
	as    actor         // who runs try and fine; root on the host by default
	event string        // of the record in the journal: access by default, unjudged, or none
	// unnamed is a part of what an unjudged record calls the file.
	unnamed string
	// changes: the attack changes what is guarded. That it did is checked
	// without the rule, and that it did not under it in every case.
	changes bool
	guarded []string // below dir; vault/secret by default
}

const (
	accessEvent   = "access"
	unjudgedEvent = "unjudged"
	noEvent       = "none" // nothing is refused by a rule, or another case's rule answers for it
)

// attacks by name, filled by the files with the cases.
var attacks = make(map[string]*attack)

func register(list ...attack) {
	for _, a := range list {
		if attacks[a.name] != nil {
			panic(a.name + " is registered twice")
		}
		if a.want == 0 {
			a.want = unix.EACCES
		}
		if a.event == "" {
			a.event = accessEvent
		}
		if a.guarded == nil {
			a.guarded = []string{"vault/secret"}
		}
		attacks[a.name] = &a
	}
}

// ground is where the cases have their directories: on the root file system.
const ground = "/srv/escapes"

// ctx is a case's surroundings, in the test and in its children.
type ctx struct {
	name    string
	dir     string // /srv/escapes/NAME
	vault   string // dir/vault, which holds secret and plain
	scratch string // dir/scratch, empty at the start of every try
	target  string // what try is aimed at: c.secret(), or c.plain()
	text    string // what the target holds
	stage   string // "" at first, then what respawn was told
}

func newCtx(name string) *ctx {
	c := &ctx{name: name, dir: filepath.Join(ground, name)}
	c.vault = filepath.Join(c.dir, "vault")
	c.scratch = filepath.Join(c.dir, "scratch")
	c.aim("secret")
	return c
}

// aim points try at a file of the vault.
func (c *ctx) aim(name string) {
	c.target = filepath.Join(c.vault, name)
	c.text = name + " of " + c.name + "\n"
}

func (c *ctx) secret() string { return filepath.Join(c.vault, "secret") }
func (c *ctx) plain() string  { return filepath.Join(c.vault, "plain") }

// path is a name below dir.
func (c *ctx) path(name string) string { return filepath.Join(c.dir, name) }

// tmp is a name below scratch.
func (c *ctx) tmp(name string) string { return filepath.Join(c.scratch, name) }

// base is the target's own name: secret or plain.
func (c *ctx) base() string { return filepath.Base(c.target) }

// prepare makes dir anew.
func (c *ctx) prepare(a *attack) error {
	if err := c.remove(a); err != nil {
		return err
	}
	for _, dir := range []string{c.vault, c.scratch} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	for _, name := range []string{"plain", "secret"} {
		c.aim(name)
		if err := os.WriteFile(c.target, []byte(c.text), 0o644); err != nil {
			return err
		}
	}
	if err := os.Chmod(c.scratch, 0o777); err != nil {
		return err
	}
	if a.setup != nil {
		if err := a.setup(c); err != nil {
			return fmt.Errorf("setup: %w", err)
		}
	}
	return nil
}

// remove takes the case's files and mounts away.
func (c *ctx) remove(a *attack) error {
	if a.cleanup != nil {
		if err := a.cleanup(c); err != nil {
			return fmt.Errorf("cleanup: %w", err)
		}
	}
	if err := unmountBelow(c.dir); err != nil {
		return err
	}
	return os.RemoveAll(c.dir)
}

// fresh empties scratch.
func (c *ctx) fresh() error {
	if err := unmountBelow(c.scratch); err != nil {
		return err
	}
	if err := os.RemoveAll(c.scratch); err != nil {
		return err
	}
	if err := os.Mkdir(c.scratch, 0o777); err != nil {
		return err
	}
	return os.Chmod(c.scratch, 0o777) // the umask took some
}

// read is the usual end of an attack: whether path is the target's text.
func (c *ctx) read(path string) error { return c.readAt(unix.AT_FDCWD, path) }

// readAt is read relative to a directory's descriptor.
func (c *ctx) readAt(dir int, path string) error {
	fd, err := unix.Openat(dir, path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return at("open "+path, err)
	}
	defer unix.Close(fd)
	return c.readFD(fd)
}

// readFD reads an open file from its start.
func (c *ctx) readFD(fd int) error {
	b := make([]byte, len(c.text)+1)
	n, err := unix.Pread(fd, b, 0)
	if err != nil {
		return at("read", err)
	}
	return c.same(b[:n])
}

// same tells whether bytes are the target's text.
func (c *ctx) same(b []byte) error {
	if string(b) != c.text {
		return fmt.Errorf("read %.60q, want %q", b, c.text)
	}
	return nil
}

// put keeps bytes from setup for try; get returns them.
func (c *ctx) put(name string, b []byte) error { return os.WriteFile(c.path(name), b, 0o644) }

func (c *ctx) get(name string) ([]byte, error) { return os.ReadFile(c.path(name)) }

// at says which step failed, and keeps its errno.
func at(step string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", step, err)
}

// errno is what the kernel said; false where it was not the kernel.
func errno(err error) (syscall.Errno, bool) {
	var e syscall.Errno
	ok := errors.As(err, &e)
	return e, ok
}

// onHost is the frame of a policy for the host.
func onHost(rules string, args ...any) string {
	return "[applies_to]\nhost = true\n\n" + fmt.Sprintf(rules, args...)
}

// denies is the usual policy: reading and writing of some paths.
func denies(paths ...string) string { return onHost("[file.secret]\npath = %s\n", list(paths...)) }

// deniesReading leaves writing free.
func deniesReading(path string) string {
	return onHost("[file.secret]\npath = %q\naccess = \"read\"\n", path)
}

// trusted is a copy of this binary that policies of trusts let through.
const trusted = ground + "/trusted"

// trusts denies the secret to all other programs.
func trusts(c *ctx) string {
	return onHost("[file.secret]\npath = %q\nexcept_from = %q\n", c.secret(), trusted)
}

// deniesWriting leaves reading free.
func deniesWriting(c *ctx) string {
	return onHost("[file.secret]\npath = %q\naccess = \"write\"\n", c.secret())
}

// list is a TOML list of strings.
func list(items ...string) string {
	quoted := make([]string, len(items))
	for i, s := range items {
		quoted[i] = fmt.Sprintf("%q", s)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// copyFile makes a copy with a mode.
func copyFile(from, to string, mode os.FileMode) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	if _, err := io.Copy(target, source); err != nil {
		target.Close()
		return err
	}
	return target.Close()
}

// unmountBelow unmounts a directory and all below it, the latest first.
func unmountBelow(dir string) error {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	var points []string
	for line := range bytes.Lines(table) {
		point := unescape(strings.Fields(string(line))[4])
		if point == dir || strings.HasPrefix(point, dir+"/") {
			points = append(points, point)
		}
	}
	for i := len(points) - 1; i >= 0; i-- {
		if err := unix.Unmount(points[i], unix.MNT_DETACH); err != nil && err != unix.EINVAL {
			return at("unmount "+points[i], err)
		}
	}
	return nil
}

// unescape undoes what mountinfo does to blanks.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}
