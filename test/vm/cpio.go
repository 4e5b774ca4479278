package vm

import (
	"fmt"
	"io"
	"strings"
)

// cpioWriter writes the "newc" archive that the kernel unpacks as its first root file system. Writing it
// here lets an initramfs hold device nodes without root.
type cpioWriter struct {
	w     io.Writer
	inode uint32
	err   error
}

const (
	cpioDir  = 0o040000
	cpioFile = 0o100000
	cpioLink = 0o120000
	cpioChar = 0o020000
)

func (c *cpioWriter) dir(name string, perm uint32) { c.entry(name, cpioDir|perm, nil, 0, 0) }
func (c *cpioWriter) file(name string, perm uint32, data []byte) {
	c.entry(name, cpioFile|perm, data, 0, 0)
}
func (c *cpioWriter) link(name, target string) { c.entry(name, cpioLink|0o777, []byte(target), 0, 0) }
func (c *cpioWriter) char(name string, perm, major, minor uint32) {
	c.entry(name, cpioChar|perm, nil, major, minor)
}

func (c *cpioWriter) entry(name string, mode uint32, data []byte, major, minor uint32) {
	if c.err != nil {
		return
	}
	name = strings.TrimPrefix(name, "/")
	c.inode++
	header := fmt.Sprintf("070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
		c.inode, mode, 0, 0, 1, 0, len(data), 0, 0, major, minor, len(name)+1, 0)
	c.write([]byte(header + name + "\x00"))
	c.pad(len(header) + len(name) + 1)
	c.write(data)
	c.pad(len(data))
}

// close ends the archive and returns the first error of all writes.
func (c *cpioWriter) close() error {
	c.entry("TRAILER!!!", 0, nil, 0, 0)
	return c.err
}

func (c *cpioWriter) pad(n int) { c.write(make([]byte, -n&3)) }

func (c *cpioWriter) write(p []byte) {
	if c.err == nil && len(p) > 0 {
		_, c.err = c.w.Write(p)
	}
}
