//go:build kernel

package bpflsm

import (
	"syscall"
	"testing"
)

// The kernel passes no file for memory that none backs, and no inode for a name
// that is about to be made: a program that believes in them brings it down.
func TestAbsentArguments(t *testing.T) {
	dir := tree(t, "plain")
	t.Chdir(dir)
	want(t, "code", 0)
	for _, c := range []struct {
		name, policy string
		code, create syscall.Errno
	}{
		{"a rule about programs", "[process.x]\npath = \"/nonexistent\"\n", 0, 0},
		{"an owner's rule", "[file.x]\npath = \"" + dir + "/own\"\nowner_only = true\n", 0, 0},
		{"a rule about names to be made", "[file.x]\npath = \"" + dir + "/new\"\n", 0, syscall.EACCES},
		{"a rule about memory", "[system.x]\noperation = \"anonymous-exec\"\n", syscall.EPERM, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			enforce(t, c.policy)
			want(t, "code", c.code)
			want(t, "create new", c.create)
			want(t, "mkdir made", 0)
			undo(t, "rmdir made")
			if c.create == 0 {
				undo(t, "unlink new")
			}
			want(t, "read plain", 0)
		})
	}
}
