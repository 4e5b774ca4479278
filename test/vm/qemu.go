package vm

import (
	"fmt"
	"strconv"
	"strings"
)

// machine is everything on QEMU's command line that depends on the job.
type machine struct {
	kernel, initrd string
	cmdline        string
	console        string // file
	out, result    string // unix sockets that the harness listens on
	drives         []drive
	cpus, memoryMB int
	icount         bool
	cx16           bool // the kernel needs cmpxchg16b
}

// drive is a virtio disk; the guest finds it by its serial.
type drive struct {
	serial, file, format string
	readonly             bool
	// snapshot throws away what the guest writes.
	snapshot bool
}

// qemuArgs builds QEMU's arguments. There is no network device: the guest is cut off by construction.
func qemuArgs(m machine) []string {
	args := []string{
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-machine", "q35,vmport=off,i8042=off,usb=off",
		"-m", strconv.Itoa(m.memoryMB), "-smp", strconv.Itoa(m.cpus),
	}
	cpu := "max,la57=off"
	if !m.cx16 {
		// TCG with one vCPU crashes 6.12 in cmpxchg16b.
		cpu += ",-cx16"
	}
	if m.icount {
		args = append(args, "-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off", "-cpu", cpu+",-erms,-fsrm")
	} else {
		// One thread for all CPUs: with more, QEMU 7.2 now and then runs an
		// int3 of the kernel's text patching after it was replaced, and
		// every attached or detached hook is such a patch.
		args = append(args, "-accel", "tcg,thread=single,tb-size=512", "-cpu", cpu)
	}
	args = append(args,
		"-kernel", m.kernel, "-initrd", m.initrd, "-append", m.cmdline,
		"-chardev", "file,id=console,path="+escape(m.console), "-serial", "chardev:console",
		"-device", "virtio-serial-pci",
		"-chardev", "socket,id=out,path="+escape(m.out), "-device", "virtserialport,chardev=out,name=out",
		"-chardev", "socket,id=result,path="+escape(m.result), "-device", "virtserialport,chardev=result,name=result",
		"-object", "rng-random,id=rng,filename=/dev/urandom", "-device", "virtio-rng-pci,rng=rng",
	)
	for _, d := range m.drives {
		spec := fmt.Sprintf("if=none,id=%s,format=%s,file=%s", d.serial, d.format, escape(d.file))
		if d.readonly {
			spec += ",readonly=on"
		}
		if d.snapshot {
			spec += ",snapshot=on"
		}
		args = append(args, "-drive", spec, "-device", fmt.Sprintf("virtio-blk-pci,drive=%s,serial=%s", d.serial, d.serial))
	}
	return args
}

// escape keeps a comma in a path from ending QEMU's option.
func escape(path string) string { return strings.ReplaceAll(path, ",", ",,") }

// commandLine builds the kernel's parameters.
func commandLine(j *Job) string {
	words := []string{
		"console=ttyS0", "loglevel=5", "quiet", "oops=panic", "panic=-1",
		"tsc=reliable", "mitigations=off", "random.trust_cpu=on",
	}
	if j.Kernel == "5.10" {
		// bullseye does not start bpf on its own.
		words = append(words, "lsm=lockdown,yama,integrity,apparmor,bpf")
	}
	return strings.Join(append(words, j.Append...), " ")
}
