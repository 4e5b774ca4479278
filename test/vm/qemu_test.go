package vm

import (
	"bytes"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

func TestQEMUArgs(t *testing.T) {
	m := machine{
		kernel: "k", initrd: "i", cmdline: "a b", console: "/t/c,d", cpus: 2, memoryMB: 512,
		drives: []drive{
			{serial: "root", file: "/x,y.ext4", format: "raw", snapshot: true},
			{serial: "job", file: "j", format: "raw", readonly: true},
		},
	}
	args := strings.Join(qemuArgs(m), " ")
	for _, want := range []string{
		"-no-reboot", "-smp 2", "-m 512", "-accel tcg,thread=single", "-cpu max,la57=off,-cx16 ", "-append a b ", "path=/t/c,,d",
		"-drive if=none,id=root,format=raw,file=/x,,y.ext4,snapshot=on -device virtio-blk-pci,drive=root,serial=root",
		"-drive if=none,id=job,format=raw,file=j,readonly=on",
	} {
		if !strings.Contains(args, want) {
			t.Errorf("%q is not in %s", want, args)
		}
	}
	if strings.Contains(args, "net") {
		t.Errorf("the guest has a network: %s", args)
	}
	m.cx16 = true
	if args := strings.Join(qemuArgs(m), " "); !strings.Contains(args, "-cpu max,la57=off ") {
		t.Errorf("no cmpxchg16b: %s", args)
	}
	m.cx16 = false
	m.icount, m.cpus = true, 1
	args = strings.Join(qemuArgs(m), " ")
	for _, want := range []string{"-accel tcg,thread=single", "-icount shift=0,sleep=off", "-smp 1", "-cpu max,la57=off,-cx16,-erms,-fsrm"} {
		if !strings.Contains(args, want) {
			t.Errorf("icount: %q is not in %s", want, args)
		}
	}
}

func TestCommandLine(t *testing.T) {
	for kernel, lsm := range map[string]bool{"5.10": true, "6.1": false, "6.12": false, "7.2": false} {
		line := commandLine(&Job{Kernel: kernel, Append: []string{"hostarmor=audit", "x"}})
		if strings.Contains(line, "lsm=lockdown,yama,integrity,apparmor,bpf") != lsm {
			t.Errorf("%s: lsm list given: %v, want %v (%s)", kernel, !lsm, lsm, line)
		}
		words := strings.Fields(line)
		for _, want := range []string{"console=ttyS0", "oops=panic", "panic=-1", "tsc=reliable", "mitigations=off"} {
			if !slices.Contains(words, want) {
				t.Errorf("%s: %s is not in %q", kernel, want, line)
			}
		}
		if !strings.HasSuffix(line, " hostarmor=audit x") {
			t.Errorf("%s: the job's words do not come last: %q", kernel, line)
		}
	}
}

// TestCPIO has the archive read by cpio's own reader in busybox, where there is one.
func TestCPIO(t *testing.T) {
	var b bytes.Buffer
	c := &cpioWriter{w: &b}
	c.dir("d", 0o755)
	c.file("d/odd", 0o644, []byte("12345"))
	c.link("d/link", "odd")
	c.char("console", 0o600, 5, 1)
	if err := c.close(); err != nil {
		t.Fatal(err)
	}
	if b.Len()%4 != 0 {
		t.Errorf("%d bytes: the kernel reads the archive in words of four", b.Len())
	}
	path, err := busybox.path()
	if err != nil {
		t.Skip("busybox is not installed: the smoke test boots such an archive")
	}
	list := exec.Command(path, "cpio", "-t")
	list.Stdin = &b
	out, err := list.Output()
	if want := "d\nd/odd\nd/link\nconsole\n"; err != nil || string(out) != want {
		t.Errorf("cpio lists %q, %v, want %q", out, err, want)
	}
}
