package catalogue

import "slices"

var daemons = slices.Concat(process, kernel, load)

// daemon is a case of that group.
func daemon(name, way, closed string, hooks ...string) Case {
	return Case{Name: name, Group: Daemon, Way: way, Closed: closed, Hooks: hooks}
}

const (
	whole    = "Only systemd signals the daemon; and what is enforced stays in the kernel without it."
	untraced = "Nobody reaches into the daemon's process."
	ownGroup = "The daemon's control group is written by systemd and the daemon only."
	byPolicy = "The built-in policy hostarmor lets package managers write there, and nobody else."
)

var process = []Case{
	daemon("daemon-kill", "Kills the daemon with SIGKILL.", whole, "task_kill"),
	daemon("daemon-stop", "Stops the daemon with SIGSTOP.", whole, "task_kill"),
	daemon("daemon-signal-by-pipe", "Makes the daemon the owner of a pipe, and has the kernel kill it when that is readable.", whole, "file_send_sigiotask"),
	daemon("daemon-tkill", "Signals the daemon by tkill.", whole, "task_kill"),
	daemon("daemon-signal-thread", "Signals one thread of the daemon.", whole, "task_kill"),
	daemon("daemon-signal-pidfd", "Signals the daemon by a pidfd.", whole, "task_kill"),
	daemon("daemon-signal-queue", "Signals the daemon by rt_sigqueueinfo.", whole, "task_kill"),
	daemon("daemon-limit", "Sets a limit of CPU time for the daemon, which kills.", untraced, "task_setrlimit"),
	daemon("daemon-ptrace-attach", "Attaches to the daemon as a debugger.", untraced, "ptrace_access_check"),
	daemon("daemon-ptrace-seize", "The same by PTRACE_SEIZE.", untraced, "ptrace_access_check"),
	daemon("daemon-memory-write", "Writes into the daemon's memory.", untraced, "ptrace_access_check"),
	daemon("daemon-descriptor", "Takes a descriptor out of the daemon.", untraced, "ptrace_access_check"),
	daemon("daemon-memory-file", "Opens /proc/PID/mem of the daemon.", untraced, "ptrace_access_check"),
	daemon("daemon-group-kill", "Kills the daemon by its control group.", ownGroup, "file_open"),
	daemon("daemon-group-freeze", "Freezes the daemon by its control group.", ownGroup, "file_open"),
	daemon("daemon-group-memory", "Limits the daemon's memory.", ownGroup, "file_open"),
	daemon("daemon-group-pids", "Limits the daemon's threads.", ownGroup, "file_open"),
	daemon("daemon-program", "Replaces the daemon's program.", byPolicy, "path_rename"),
	daemon("daemon-state", "Writes into the daemon's state.", byPolicy, "path_mknod"),
	daemon("daemon-socket", "Moves the control socket away.", byPolicy, "path_rename"),
	daemon("daemon-killed-by-systemd", "Has systemd kill the daemon: systemctl kill.", "It is permitted, enforcement stays in the kernel, and systemd starts the daemon again.", "file_open"),
}

const (
	guardedPins = "The pins are written by the daemon only."
	staysMount  = "The file system of the pins cannot be unmounted."
	guardedMaps = "Maps of HostArmor are opened for writing by the daemon only; reading them is free."
)

var kernel = []Case{
	daemon("pins-unlink", "Unlinks a pinned link, which detaches its hook.", guardedPins, "path_unlink"),
	daemon("pins-rename", "Renames a pin, so that the next daemon does not find it.", guardedPins, "path_rename"),
	daemon("pins-rename-directory", "Renames the directory of the pins.", guardedPins, "path_rename"),
	daemon("pins-remove-all", "Removes all pins: rm -r.", guardedPins, "path_unlink"),
	daemon("pins-add", "Adds to the pins what the next daemon might take for its own.", guardedPins, "path_mkdir"),
	daemon("pins-unmount", "Unmounts the file system of the pins.", staysMount, "sb_umount"),
	daemon("pins-unmount-lazily", "Unmounts the file system of the pins lazily.", staysMount, "sb_umount"),
	daemon("map-update", "Opens a map by its id and changes it.", guardedMaps, "bpf_map"),
	daemon("map-freeze", "Opens a map by its id and freezes it.", guardedMaps, "bpf_map"),
	daemon("map-by-pin", "Opens a map by its pin and changes it.", guardedMaps, "bpf_map"),
	daemon("map-events-swallowed", "Maps the ring of events writable and says that it was read.", guardedMaps, "bpf_map"),
	daemon("program-run", "Runs the program that says what is in force.", "What it changes is changed for the daemon only.", "bpf_prog"),
	daemon("program-replace", "Loads a program that replaces a function of one of HostArmor's.", "Its programs stay as they are.", "bpf_prog_alloc_security", "bpf_prog_load"),
}

const locked = "With policies = true under [protect], policy files change after hostarmor unlock only."

var load = []Case{
	daemon("policies-write", "Writes a policy file.", locked, "path_mknod"),
	daemon("policies-rename", "Renames a file into the directory of policies.", locked, "path_rename"),
	daemon("policies-mask", "Masks a policy by a link to /dev/null.", locked, "path_symlink"),
	daemon("policies-append", "Writes to the settings.", locked, "file_open"),
	daemon("policies-move", "Moves the directory above the policies away.", locked, "path_rename"),
	daemon("policies-run", "Writes a policy file under /run.", locked, "path_mknod"),
	daemon("policies-mount-over", "Mounts an empty file system over the policies.", locked, "sb_mount"),
	daemon("policies-bind-over", "Mounts another directory over the policies.", locked, "sb_mount"),
	daemon("reloads-under-load", "Opens a denied file in a loop while rules are loaded again and again.", "A set is built beside the one in force, and one atomic addition changes over.", "file_open"),
	daemon("too-many-rules", "Adds rules until the tables are full.", "They are refused by name, and the set before stays in force.", "file_open"),
	daemon("event-flood", "Hides an access among a hundred thousand others.", "What is refused does not wait for events, hits are counted in the kernel, and what is lost is counted.", "file_open"),
}
