//go:build e2e

package escapes

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Below the file system: the device that the file's bytes lie on.
func init() {
	raw := func(name string, try func(c *ctx, offset int64) error) attack {
		return attack{name: name, setup: locate, fine: fineLoop, event: "unjudged", try: func(c *ctx) error {
			b, err := c.get("offset")
			if err != nil {
				return errors.New(err.Error())
			}
			return try(c, int64(binary.LittleEndian.Uint64(b)))
		}}
	}
	register(
		raw("raw-device", func(c *ctx, offset int64) error {
			device, err := rootDevice()
			if err != nil {
				return err
			}
			return c.readDevice(device, offset)
		}),
		raw("raw-device-node", func(c *ctx, offset int64) error {
			if err := rootNode(c.tmp("node")); err != nil {
				return at("mknod", err)
			}
			return c.readDevice(c.tmp("node"), offset)
		}),
		raw("raw-device-node-in-tmpfs", func(c *ctx, offset int64) error {
			if err := os.Mkdir(c.tmp("fs"), 0o755); err != nil {
				return err
			}
			if err := unix.Mount("tmpfs", c.tmp("fs"), "tmpfs", 0, ""); err != nil {
				return at("mount", err)
			}
			if err := rootNode(c.tmp("fs/node")); err != nil {
				return at("mknod", err)
			}
			return c.readDevice(c.tmp("fs/node"), offset)
		}),
		raw("raw-device-write", func(c *ctx, offset int64) error {
			device, err := rootDevice()
			if err != nil {
				return err
			}
			fd, err := unix.Open(device, unix.O_WRONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				return at("open "+device, err)
			}
			defer unix.Close(fd)
			// The same bytes: the guest lives on.
			_, err = unix.Pwrite(fd, []byte(c.text), offset)
			return at("write", err)
		}),
		raw("raw-device-loop", func(c *ctx, offset int64) error {
			device, err := rootDevice()
			if err != nil {
				return err
			}
			fd, err := unix.Open(device, unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				return at("open "+device, err)
			}
			defer unix.Close(fd)
			loop, detach, err := attachLoop(fd, 0)
			if err != nil {
				return err
			}
			defer detach()
			return c.readDevice(loop, offset)
		}),
		func() attack {
			a := raw("raw-device-loop-before", func(c *ctx, offset int64) error {
				loop, err := c.get("loop")
				if err != nil {
					return errors.New(err.Error())
				}
				return c.readDevice(string(loop), offset)
			})
			a.setup = func(c *ctx) error {
				if err := locate(c); err != nil {
					return err
				}
				device, err := rootDevice()
				if err != nil {
					return err
				}
				fd, err := unix.Open(device, unix.O_RDONLY|unix.O_CLOEXEC, 0)
				if err != nil {
					return err
				}
				defer unix.Close(fd)
				loop, _, err := attachLoop(fd, 0)
				if err != nil {
					return err
				}
				return c.put("loop", []byte(loop))
			}
			a.cleanup = func(c *ctx) error {
				loop, err := c.get("loop")
				if errors.Is(err, os.ErrNotExist) {
					return nil
				}
				return errors.Join(err, detachLoop(string(loop)))
			}
			return a
		}(),
		raw("debugfs", func(c *ctx, _ int64) error {
			device, err := rootDevice()
			if err != nil {
				return err
			}
			out, err := exec.Command("/sbin/debugfs", "-R", "cat "+c.target, device).CombinedOutput()
			if bytes.Contains(out, []byte("Permission denied")) {
				return at("debugfs", unix.EACCES)
			}
			if err != nil || !bytes.Contains(out, []byte(c.text)) {
				return fmt.Errorf("debugfs: %v: %q", err, out)
			}
			return nil
		}),
		attack{name: "loop-device", setup: fill, try: func(c *ctx) error { return tryLoop(c, unix.O_RDONLY, 0) }},
		// A descriptor of access mode 3 may neither read nor write, but a loop device
		// with direct I/O reads through it all the same.
		attack{name: "loop-access-mode-3", setup: fill, try: func(c *ctx) error { return tryLoop(c, unix.O_ACCMODE, unix.LO_FLAGS_DIRECT_IO) }},
	)
}

// fill makes the files as large as a block device has to be.
func fill(c *ctx) error {
	if err := loadLoop(c); err != nil {
		return err
	}
	for _, name := range []string{"secret", "plain"} {
		c.aim(name)
		if err := os.WriteFile(c.target, append([]byte(c.text), make([]byte, 8192-len(c.text))...), 0o644); err != nil {
			return err
		}
	}
	unix.Sync()
	return nil
}

// tryLoop reads the target through a loop device.
func tryLoop(c *ctx, mode int, flags uint32) error {
	fd, err := unix.Open(c.target, mode|unix.O_CLOEXEC, 0)
	if err != nil {
		return at("open", err)
	}
	defer unix.Close(fd)
	loop, detach, err := attachLoop(fd, flags)
	if err != nil {
		return err
	}
	defer detach()
	return c.readDevice(loop, 0)
}

// rootDevice is the node of the device below ground.
func rootDevice() (string, error) {
	var s unix.Stat_t
	if err := unix.Stat("/srv", &s); err != nil {
		return "", err
	}
	b, err := os.ReadFile(fmt.Sprintf("/sys/dev/block/%d:%d/uevent", unix.Major(s.Dev), unix.Minor(s.Dev)))
	if err != nil {
		return "", errors.New("the root file system has no device: " + err.Error())
	}
	for line := range strings.Lines(string(b)) {
		if name, ok := strings.CutPrefix(line, "DEVNAME="); ok {
			return "/dev/" + strings.TrimSpace(name), nil
		}
	}
	return "", fmt.Errorf("no name in %q", b)
}

// rootNode makes another node of that device.
func rootNode(path string) error {
	var s unix.Stat_t
	if err := unix.Stat("/srv", &s); err != nil {
		return err
	}
	return unix.Mknod(path, unix.S_IFBLK|0o600, int(s.Dev))
}

// forgetCached writes a device's cache back and drops what nobody uses of it.
func forgetCached(device string) error {
	fd, err := unix.Open(device, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return at("open "+device, err)
	}
	defer unix.Close(fd)
	return at("BLKFLSBUF", unix.IoctlSetInt(fd, unix.BLKFLSBUF, 0))
}

// locate keeps where on the device the secret lies. Before the rule it can be
// read there: where the device's cache still holds what lay there before, the
// secret moves on to another block.
func locate(c *ctx) error {
	if err := loadLoop(c); err != nil {
		return err
	}
	device, err := rootDevice()
	if err != nil {
		return err
	}
	c.aim("secret")
	for i := range 100 {
		offset, err := onDevice(c.target)
		if err != nil {
			return err
		}
		if err := forgetCached(device); err != nil {
			return err
		}
		if c.readDevice(device, offset) == nil {
			return c.put("offset", binary.LittleEndian.AppendUint64(nil, uint64(offset)))
		}
		// The old one keeps its block.
		if err := os.Rename(c.target, c.path(fmt.Sprintf("filler-%d", i))); err != nil {
			return err
		}
		if err := os.WriteFile(c.target, []byte(c.text), 0o644); err != nil {
			return err
		}
	}
	return errors.New("the secret is not to be read on the device")
}

// onDevice is where a file's first byte lies.
func onDevice(path string) (int64, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	if err := errors.Join(unix.Fsync(fd), unix.Syncfs(fd)); err != nil {
		return 0, err
	}
	var m struct {
		start, length                   uint64
		flags, mapped, count, _         uint32
		logical, physical, extentLength uint64
		_                               [2]uint64
		extentFlags                     uint32
		_                               [3]uint32
	}
	m.length, m.count = ^uint64(0), 1
	const fiemap = 0xc020660b
	if err := call(unix.SYS_IOCTL, uintptr(fd), fiemap, uintptr(unsafe.Pointer(&m))); err != nil {
		return 0, at("fiemap", err)
	}
	if m.mapped != 1 || m.physical == 0 {
		return 0, fmt.Errorf("fiemap says %+v", m)
	}
	return int64(m.physical), nil
}

// readDevice reads the target's text at a place of a device.
func (c *ctx) readDevice(path string, offset int64) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return at("open "+path, err)
	}
	defer unix.Close(fd)
	b := make([]byte, len(c.text))
	if _, err := unix.Pread(fd, b, offset); err != nil {
		return at("read "+path, err)
	}
	return c.same(b)
}

// loadLoop has the driver there before any rule.
func loadLoop(*ctx) error {
	if out, err := exec.Command("modprobe", "loop").CombinedOutput(); err != nil {
		return fmt.Errorf("modprobe loop: %w: %s", err, out)
	}
	return nil
}

// attachLoop gives a file a block device.
func attachLoop(fd int, flags uint32) (device string, detach func(), err error) {
	control, err := unix.Open("/dev/loop-control", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", nil, errors.New("open loop-control: " + err.Error())
	}
	defer unix.Close(control)
	n, err := unix.IoctlRetInt(control, unix.LOOP_CTL_GET_FREE)
	if err != nil {
		return "", nil, errors.New("find a loop device: " + err.Error())
	}
	device = fmt.Sprintf("/dev/loop%d", n)
	loop, err := unix.Open(device, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", nil, errors.New("open " + device + ": " + err.Error())
	}
	defer unix.Close(loop)
	config := unix.LoopConfig{Fd: uint32(fd), Info: unix.LoopInfo64{Flags: flags | unix.LO_FLAGS_READ_ONLY}}
	if err := unix.IoctlLoopConfigure(loop, &config); err != nil {
		return "", nil, at("attach "+device, err)
	}
	return device, func() { detachLoop(device) }, nil
}

func detachLoop(device string) error {
	fd, err := unix.Open(device, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return at("open "+device, err)
	}
	defer unix.Close(fd)
	err = unix.IoctlSetInt(fd, unix.LOOP_CLR_FD, 0)
	if errors.Is(err, unix.ENXIO) {
		return nil
	}
	return at("detach "+device, err)
}

// fineLoop: other block devices can be read.
func fineLoop(c *ctx) error {
	c.aim("plain")
	if err := os.WriteFile(c.tmp("image"), append([]byte(c.text), make([]byte, 1<<16)...), 0o644); err != nil {
		return err
	}
	fd, err := unix.Open(c.tmp("image"), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	loop, detach, err := attachLoop(fd, 0)
	if err != nil {
		return err
	}
	defer detach()
	return c.readDevice(loop, 0)
}
