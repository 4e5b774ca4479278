package catalogue

// What is open, known, and not tried by a program: most of it needs a machine
// that is set up for it.

func open(group, name, way, why string) Case {
	return Case{Name: name, Group: group, Way: way, Open: why}
}

var openPaths = []Case{
	open(Paths, "mapped-device-over-disk", "Makes a device-mapper device over the disk of a mounted file system, and reads files through that.",
		"The kernel opens the disk by itself, and asks no hook; who may make such devices (CAP_SYS_ADMIN, /dev/mapper/control) has to be refused by a rule for that file."),
	open(Paths, "device-of-many-disks", "Reads files through the raw device of a file system that lies on several, as btrfs may.",
		"Its number in the mount table is no device's, so HostArmor does not know which disks carry it; deny the disks by name."),
	open(Paths, "remote-file", "Changes a file of a network file system on its server, or on another client.",
		"What another machine does is judged there."),
	open(Paths, "io-by-firmware", "Reads the disk or memory by DMA, by a debugger of the hardware, or after a boot of another system.",
		"Nothing of this kernel runs then."),
}

var openExecs = []Case{
	open(Exec, "code-by-personality", "Under a rule of anonymous-exec: has all that is readable be executable, by personality READ_IMPLIES_EXEC, and lets its heap grow.",
		"The heap grows without a question to any hook."),
	open(Exec, "service-manager", "Asks the service manager to start a program in a unit of its own, by systemd-run or a unit file.",
		"PID 1 starts it, and it is of that unit and no longer of the caller's. Refuse systemd's socket and its directories of units, or use a host rule."),
	open(Exec, "bug-of-a-program", "Makes a program that a rule trusts do something else, by a bug or a feature of it.",
		"A rule trusts a program whole. Trust small ones."),
}

var openDaemons = []Case{
	open(Daemon, "unconfined-module", "As root whom no rule refuses it: loads a kernel module, writes raw memory, or loads a BPF program that changes the kernel's answers.",
		"The kernel's owner can do what the kernel can. Refuse it by rules of class system: load-module, kexec, bpf."),
	open(Daemon, "ancestor-covered", "Mounts something over a directory above the policies or the programs before a restart of the service.",
		"Images are merged over /usr and the like in the same way. What is in force stays until the next reload; a rule of class system about mount refuses it."),
	open(Daemon, "reboot", "Reboots with hostarmor=off on the kernel command line, or without bpf among the security modules.",
		"This is the way back in for an administrator who is locked out. Guard the boot loader."),
}
