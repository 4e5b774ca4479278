package vm

import (
	"bytes"
	_ "embed"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

var (
	//go:embed guest/init.sh
	initScript []byte
	//go:embed guest/minimal.sh
	minimalStage []byte
	//go:embed guest/minimal-init.sh
	minimalInit []byte
	//go:embed guest/full.sh
	fullStage []byte
	//go:embed guest/vm-job.service
	jobUnit []byte
)

// guestModules are needed before the guest can load modules by itself.
var guestModules = map[Guest][]string{
	Minimal: {"virtio_pci", "virtio_blk", "virtio_console", "virtio_rng", "ext4", "overlay"},
	Full:    {"virtio_pci", "virtio_blk", "virtio_console", "virtio_rng", "ext4"},
}

// stageApplets are the busybox commands of the first stage.
var stageApplets = strings.Fields("cat chroot cp insmod ln mkdir mount reboot rm sh sleep switch_root tar")

// writeInitramfs writes the first root file system of a guest for kernel k.
func writeInitramfs(w io.Writer, k *kernel, guest Guest) error {
	p, err := busybox.path()
	if err != nil {
		return err
	}
	shell, err := os.ReadFile(p)
	if err != nil {
		return fmt.Errorf("read busybox: %w", err)
	}
	// The dynamic build would fail inside the guest, with "Attempted to kill init" and no reason.
	if bytes.Contains(shell, []byte("/lib64/ld-linux")) {
		return fmt.Errorf("%s is not static (install busybox-static)", p)
	}
	order, err := loadOrder(k.moduleTree(), guestModules[guest])
	if err != nil {
		return fmt.Errorf("kernel %s: %w", k.name, err)
	}
	c := &cpioWriter{w: w}
	for _, d := range []string{"bin", "dev", "proc", "sys", "root", "modules"} {
		c.dir(d, 0o755)
	}
	// The kernel opens it for process 1 before anything is mounted.
	c.char("dev/console", 0o600, 5, 1)
	c.file("bin/busybox", 0o755, shell)
	for _, name := range stageApplets {
		c.link("bin/"+name, "busybox")
	}
	c.file("init", 0o755, initScript)
	var names strings.Builder
	for _, file := range order {
		data, err := os.ReadFile(filepath.Join(k.moduleTree(), file))
		if err != nil {
			return fmt.Errorf("read module: %w", err)
		}
		c.file("modules/"+filepath.Base(file), 0o644, data)
		names.WriteString(filepath.Base(file) + "\n")
	}
	c.file("modules/order", 0o644, []byte(names.String()))
	if guest == Full {
		c.file("stage2", 0o644, fullStage)
		c.file("vm-job.service", 0o644, jobUnit)
		return c.close()
	}
	c.file("stage2", 0o644, minimalStage)
	minimalSkeleton(c, shell)
	return c.close()
}

// minimalSkeleton adds the root file system of the minimal guest, as /skel.
func minimalSkeleton(c *cpioWriter, shell []byte) {
	c.dir("skel", 0o755)
	for _, d := range strings.Fields("bin sbin dev etc home home/user lib lib/modules mnt opt proc run scratch srv sys usr usr/bin usr/sbin usr/local usr/local/bin var var/lib var/log") {
		c.dir("skel/"+d, 0o755)
	}
	c.dir("skel/root", 0o700)
	c.dir("skel/tmp", 0o1777)
	c.file("skel/bin/busybox", 0o755, shell)
	c.file("skel/etc/init", 0o755, minimalInit)
	c.file("skel/etc/passwd", 0o644, []byte("root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home/user:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n"))
	c.file("skel/etc/group", 0o644, []byte("root:x:0:\nuser:x:1000:\nnogroup:x:65534:\n"))
	c.file("skel/etc/shadow", 0o600, []byte("root:*:19000:0:99999:7:::\nuser:*:19000:0:99999:7:::\nnobody:*:19000:0:99999:7:::\n"))
	c.file("skel/etc/hosts", 0o644, []byte("127.0.0.1 localhost vm\n::1 localhost\n"))
	c.file("skel/etc/hostname", 0o644, []byte("vm\n"))
}
