package catalogue

import "slices"

var execs = slices.Concat(programs, lists, memory, applets, trust, users, units, operations)

// exec is a case of that group.
func exec(name, way, closed string, hooks ...string) Case {
	return Case{Name: name, Group: Exec, Way: way, Closed: closed, Hooks: hooks}
}

const (
	byExec       = "bprm_check_security"
	byMap        = "mmap_file"
	byProtect    = "file_mprotect"
	byOpen       = "file_open"
	byPtrace     = "ptrace_access_check"
	mappedToo    = "A denied program can be mapped executable as little as it can be executed."
	everyFile    = "Whatever file is executed is judged by its own names, whoever starts it and however."
	interpreters = "Each interpreter of a script is judged as a program that is executed."
)

var programs = []Case{
	exec("loader", "Has the dynamic loader run a denied program: ld.so PROGRAM.", mappedToo, byMap),
	exec("map-executable", "Maps a denied program executable, as a loader of one's own would.", mappedToo, byMap),
	exec("map-then-mprotect", "Maps a denied program readable and makes that executable afterwards.", mappedToo, byProtect),
	exec("implied-executable", "Maps a denied program readable in a process for which all that is readable is executable.", mappedToo, byMap),
	exec("program-interpreter", "Executes a program whose ELF header names a denied program as its loader.", mappedToo, byMap),
	exec("exec-by-descriptor", "Executes a denied program by a descriptor, with no path at all.", everyFile, byExec),
	exec("exec-by-directory", "Executes a denied program relative to a directory's descriptor.", everyFile, byExec),
	exec("exec-by-proc", "Executes a denied program by the link of a descriptor in /proc.", everyFile, byExec),
	exec("exec-from-thread", "Executes a denied program from a thread that is not the process's first.", everyFile, byExec),
	exec("exec-in-namespace", "Executes a denied program from a bind mount in a mount namespace of one's own.", everyFile, byExec),
	exec("script-interpreter", "Names a denied program as the interpreter of a script.", interpreters, byExec),
	exec("script-nested", "Names a script as the interpreter of a script, and a denied program as that one's.", interpreters, byExec),
	exec("script-argument", "Gives a denied script to its interpreter as an argument: sh SCRIPT.", "A file rule for the script, beside the process rule, refuses to read it.", byOpen),
	exec("script-stdin", "Feeds a denied script to its interpreter on standard input.", "A file rule for the script, beside the process rule, refuses to read it.", byOpen),
	exec("script-python", "Reaches a denied Python through env in the first line of a script.", interpreters, byExec),
	exec("binfmt", "Registers a file format whose interpreter is a denied program.", "The interpreter is judged when it is executed, whoever named it.", byExec),
	exec("binfmt-kept-open", "Registers a file format before the rule, and has the kernel keep the interpreter open.", "The interpreter is judged at every exec, not when it was opened.", byExec),
	exec("core-pattern", "Has the kernel pipe core dumps into a denied program.", "What the kernel starts by itself is a process of the host.", byExec),
	exec("modprobe-path", "Makes a denied program the one that the kernel loads modules with.", "What the kernel starts by itself is a process of the host.", byExec),
	exec("release-agent", "Makes a denied program the release agent of a cgroup v1 hierarchy.", "What the kernel starts by itself is a process of the host.", byExec),
}

const (
	notListed = "An allow-list permits what it names and nothing else: the copy has another name, or none."
	ownNames  = "A file is judged by its own names and not by those that mounts and links give it."
	noFile    = "The operation fileless-exec is judged at every exec, by whether a directory holds the file."
)

var lists = []Case{
	exec("copied-program", "Copies a program to a place of one's own and executes the copy, in a unit with an allow-list.", notListed, byExec),
	exec("copied-to-shm", "Executes a copy in /dev/shm, in a unit with an allow-list.", notListed, byExec),
	exec("copied-program-user", "Executes a copy as a user with an allow-list.", notListed, byExec),
	exec("bound-over-listed", "Mounts a program over one of the allow-list, and executes that.", ownNames, byExec),
	exec("link-at-listed", "Puts a symbolic link to a program where the allow-list names everything.", ownNames, byExec),
	exec("script-not-listed", "Executes a script that the allow-list lacks, with an interpreter that it has.", "A script is judged as well as its interpreter.", byExec),
	exec("memfd-not-listed", "Executes a program in a memfd, in a unit with an allow-list.", notListed, byExec),
	exec("tmpfile-not-listed", "Executes a file that was made without a name, in a unit with an allow-list.", notListed, byExec),
	exec("deleted-not-listed", "Executes a program that was deleted, in a unit with an allow-list.", notListed, byExec),
	exec("memfd", "Executes a program in a memfd by its descriptor.", noFile, byExec),
	exec("tmpfile", "Executes a file that was made without a name.", noFile, byExec),
	exec("deleted-program", "Executes a program that was deleted.", noFile, byExec),
	exec("memfd-by-proc", "Executes a program in a memfd by the link of the descriptor in /proc.", noFile, byExec),
	exec("memfd-script", "Executes a script in a memfd.", noFile, byExec),
	exec("memfd-interpreter", "Executes a script whose interpreter is in a memfd.", noFile, byExec),
}

const (
	noMemory    = "The operation anonymous-exec is judged where memory is mapped executable, and where it becomes so."
	twoOfMemory = "A copy of a page that a file backs counts as memory without a file once it was written."
)

var memory = []Case{
	exec("memory-written-then-executable", "Writes code into memory and makes it executable.", noMemory, byProtect),
	exec("memory-writable-and-executable", "Asks for memory that is writable and executable at once.", noMemory, byMap),
	exec("memory-shared", "Writes code into shared memory without a file and makes it executable.", noMemory, byProtect),
	exec("memory-of-a-file-changed", "Maps a file privately, changes the copy, and makes it executable.", twoOfMemory, byProtect),
	exec("memory-of-a-file-executable-and-changed", "Maps a file privately, writable and executable at once.", twoOfMemory, byMap),
	exec("memory-of-a-memfd", "Writes code into a memfd and maps it executable.", noMemory, byMap),
	exec("memory-of-a-memfd-later", "Maps a memfd writable and makes the mapping executable.", noMemory, byProtect),
	exec("memory-of-sysv", "Attaches System V shared memory executable.", noMemory, byMap),
	exec("memory-of-the-heap", "Makes the heap executable.", noMemory, byProtect),
	exec("memory-of-the-stack", "Makes the stack executable.", noMemory, byProtect),
	exec("memory-implied-executable", "Maps memory in a process for which all that is readable is executable.", noMemory, byMap),
	exec("memory-by-proc-mem", "Writes into executable memory that a file backs, by /proc/self/mem.", "Opening a process's memory for writing is judged as anonymous-exec.", byOpen),
}

const command = "The command is taken from the arguments that the kernel has copied, as the program itself will take it."

var applets = []Case{
	exec("applet-argument", "Names the denied command as an argument: busybox sh.", command, byExec),
	exec("applet-argument-path", "Names the denied command with a directory before it.", command, byExec),
	exec("applet-argument-twice", "Names the program twice before the denied command: busybox busybox sh.", command, byExec),
	exec("applet-long-name", "Calls the program by a name that only begins with its own: busybox-static sh.", command, byExec),
	exec("applet-name", "Calls the program by the name of the denied command.", command, byExec),
	exec("applet-name-path", "Calls the program by a path that ends with the denied command.", command, byExec),
	exec("applet-login-shell", "Calls the program by the name of the denied command with a hyphen before it.", command, byExec),
	exec("applet-symlink", "Executes a symbolic link that is called like the denied command.", command, byExec),
	exec("applet-hard-link", "Executes a hard link from before the rule that is called like the denied command.", "The other names of what a rule denies are looked for when it is loaded.", byExec),
	exec("applet-script", "Has a script name the denied command as its interpreter, by a link.", command, byExec),
	exec("applet-by-another", "Has a permitted command of the program start the denied one.", "That is an exec of its own.", byExec),
	exec("applet-name-flips", "Changes the name in memory while the kernel reads it.", command, byExec),
}

const (
	reaching  = "Who may not use the file may not reach into a process of a program that may."
	starting  = "Who may not use the file may not choose the libraries of a program that may."
	exeForged = "What counts is the file that was executed, not what /proc/PID/exe says."
	atExec    = "What a process may do is found anew at every exec, for the whole process."
)

var trust = []Case{
	exec("ptrace-attach-trusted", "Attaches to a program that an exception trusts, and reads its memory.", reaching, byPtrace),
	exec("ptrace-seize-trusted", "The same by PTRACE_SEIZE.", reaching, byPtrace),
	exec("ptrace-from-start", "Traces a child from its start and has it execute the trusted program.", reaching, byExec),
	exec("process-vm-readv", "Reads the memory of a trusted program by process_vm_readv.", reaching, byPtrace),
	exec("process-vm-writev", "Writes into the memory of a trusted program by process_vm_writev.", reaching, byPtrace),
	exec("proc-mem", "Opens /proc/PID/mem of a trusted program.", reaching, byPtrace),
	exec("proc-fd", "Opens what a trusted program has open, by /proc/PID/fd.", reaching, byPtrace, byOpen),
	exec("pidfd-getfd", "Takes a descriptor out of a trusted program by pidfd_getfd.", reaching, byPtrace),
	exec("ld-preload", "Starts a trusted program with a library of one's own: LD_PRELOAD.", starting, byExec),
	exec("ld-audit", "Starts a trusted program with a library of one's own: LD_AUDIT.", starting, byExec),
	exec("ld-library-path", "Starts a trusted program with its library in another version: LD_LIBRARY_PATH.", starting, byExec),
	exec("forged-exe", "Has /proc/self/exe name a trusted program, by PR_SET_MM_EXE_FILE.", exeForged, "task_prctl", byOpen),
	open(Exec, "forged-exe-before", "The same before any rule is in force, and then waits for it.",
		"While rules tell programs apart this is refused; before them nobody asks, and the kernel keeps no record of it. Restart what you do not know."),
	exec("trusted-becomes-another", "Has the trusted program execute another one.", atExec, byOpen),
	exec("trusted-thread-becomes-another", "Has a second thread of the trusted program execute another one.", atExec, byOpen),
	exec("pid-reuse", "Gets the pid of a trusted program that has ended.", "What is known of a process goes away with it.", byOpen),
}

const (
	byIDs   = "The real and the effective uid are looked at in every access, those of the thread that makes it."
	byOwner = "The effective uid is compared with the owner that the file has at that moment, and changing that is a write."
)

var users = []Case{
	exec("user-plain", "Simply is the user.", byIDs, byOpen),
	exec("user-setuid", "Becomes the user after the program has started.", byIDs, byOpen),
	exec("user-effective", "Becomes the user by the effective uid alone.", byIDs, byOpen),
	exec("user-real", "Becomes the user by the real uid alone.", byIDs, byOpen),
	exec("user-and-back", "Becomes the user, and root again by the effective uid.", byIDs, byOpen),
	exec("user-one-thread", "Becomes the user in one thread, while the others stay root.", byIDs, byOpen),
	exec("user-setuid-program", "Starts a program that is setuid root as the user.", byIDs, byOpen),
	exec("user-namespace-root", "Is root in a user namespace that the user has made.", "Uids are those of the initial user namespace.", byOpen),
	exec("owner-not", "Reads a file for its owner only as root.", byOwner, byOpen),
	exec("owner-by-chown", "Gives a file for its owner only to itself.", byOwner, "path_chown"),
	exec("owner-by-fsuid", "Takes the owner's uid for file access only, by setfsuid.", byOwner, byOpen),
	exec("owner-was", "Started as the owner and has become somebody else.", byOwner, byOpen),
}

const (
	sticky   = "A process stays in the unit that it was in, unless somebody outside of it moves it."
	rootsOwn = "Only names of cgroups that belong to root count."
)

var units = []Case{
	exec("unit-systemd", "Runs as a unit that systemd has started.", "The names of a process's cgroups say in which unit it is, from its first instruction on.", byOpen),
	exec("unit-moves-out", "Writes itself into another cgroup.", sticky, byOpen),
	exec("unit-starts-outside", "Starts a child in another cgroup, by clone3.", sticky, byOpen),
	exec("unit-child-cgroup", "Makes a cgroup with another unit's name below its own and enters it.", "A unit is its whole subtree of cgroups.", byOpen),
	exec("unit-cgroup-namespace", "Makes a cgroup namespace, where its own cgroup is the root.", "Cgroups are named from the real root.", byOpen),
	exec("unit-other-user", "Becomes an ordinary user.", "A unit is whoever is in its cgroup.", byOpen),
	exec("cgroup-like-container", "Makes a cgroup called like a container's in what was delegated to an ordinary user, and enters it.", rootsOwn, byOpen),
	exec("cgroup-like-unit", "Makes a cgroup called like a unit that may more, in what was delegated to an ordinary user.", rootsOwn, byOpen),
}

const (
	byMount    = "The operation mount is judged wherever a mount comes, goes, moves or changes."
	byModule   = "The operation load-module is judged where the kernel takes a module, and where it looks for one."
	byTime     = "The operation set-time is judged in every call that sets the clock or its rate."
	byTrace    = "The operation ptrace is judged wherever one process looks into another of another workload."
	bySignal   = "The operation signal-outside is judged for every signal, also one that the kernel sends on behalf of somebody."
	byEnviron  = "The operation read-proc-environ is judged where the file is opened, whichever /proc it is in."
	byUserns   = "The operation create-userns is judged where the namespace is made."
	byBPF      = "The operation bpf is judged in every bpf call that makes something."
	byKexec    = "The operation kexec is judged before the image is read."
	byIOUring  = "The operation io-uring is judged where the ring is made."
	byCapable  = "capable"
	readsFile  = "kernel_read_file"
	loadsData  = "kernel_load_data"
	asksModule = "kernel_module_request"
)

var operations = []Case{
	exec("mount-new", "Mounts a new file system.", byMount, "sb_mount"),
	exec("mount-bind", "Makes a bind mount.", byMount, "sb_mount"),
	exec("mount-move", "Moves a mount.", byMount, "sb_mount"),
	exec("mount-remount", "Changes the options of a mount.", byMount, "sb_mount"),
	exec("mount-propagation", "Makes mounts private.", byMount, "sb_mount"),
	exec("mount-change-attributes", "Changes a mount by mount_setattr.", byMount, byCapable),
	exec("mount-unmount", "Unmounts.", byMount, "sb_umount"),
	exec("mount-unmount-lazily", "Unmounts lazily what is in use.", byMount, "sb_umount"),
	exec("mount-object", "Mounts by fsopen, fsmount and move_mount.", byMount, "move_mount"),
	exec("mount-clone", "Clones a mount by open_tree and attaches the clone.", byMount, "move_mount"),
	exec("mount-pivot-root", "Exchanges the root by pivot_root.", byMount, "sb_pivotroot"),
	exec("bpf-map", "Makes an eBPF map.", byBPF, "bpf"),
	exec("bpf-program", "Loads an eBPF program.", byBPF, "bpf"),
	exec("userns-unshare", "Makes a user namespace by unshare.", byUserns, "userns_create"),
	exec("userns-clone", "Makes a user namespace by clone.", byUserns, "userns_create"),
	exec("userns-clone3", "Makes a user namespace by clone3.", byUserns, "userns_create"),
	exec("kexec-load", "Loads another kernel by kexec_load.", byKexec, loadsData),
	exec("kexec-file-load", "Loads another kernel by kexec_file_load.", byKexec, readsFile),
	exec("io-uring-setup", "Makes an io_uring.", byIOUring, "inode_init_security_anon"),
	exec("time-clock-settime", "Sets the clock by clock_settime.", byTime, "capable"),
	exec("time-settimeofday", "Sets the clock by settimeofday.", byTime, "capable"),
	exec("time-adjtimex", "Changes the rate of the clock by adjtimex.", byTime, byCapable),
	exec("time-clock-adjtime", "Changes the rate of the clock by clock_adjtime.", byTime, byCapable),
	exec("module-finit", "Loads a module by finit_module.", byModule, readsFile),
	exec("module-init", "Loads a module by init_module.", byModule, loadsData),
	exec("module-autoload", "Has the kernel load a module, by asking for a protocol that it brings.", byModule, asksModule),
	exec("ptrace-attach-outside", "Attaches to a process of another workload.", byTrace, byPtrace),
	exec("ptrace-seize-outside", "The same by PTRACE_SEIZE.", byTrace, byPtrace),
	exec("process-vm-readv-outside", "Reads the memory of a process of another workload.", byTrace, byPtrace),
	exec("pidfd-getfd-outside", "Takes a descriptor out of a process of another workload.", byTrace, byPtrace),
	exec("signal-kill", "Signals a process of another workload by kill.", bySignal, "task_kill"),
	exec("signal-stop", "Stops a process of another workload.", bySignal, "task_kill"),
	exec("signal-tgkill", "Signals a thread of another workload by tgkill.", bySignal, "task_kill"),
	exec("signal-tkill", "Signals a thread of another workload by tkill.", bySignal, "task_kill"),
	exec("signal-queue", "Signals a process of another workload by rt_sigqueueinfo.", bySignal, "task_kill"),
	exec("signal-pidfd", "Signals a process of another workload by a pidfd.", bySignal, "task_kill"),
	open(Exec, "signal-by-pipe", "Makes a process of another workload the owner of a pipe, and has the kernel kill it when that is readable.",
		"Such a signal is sent from whatever runs when data arrives, so nobody can tell on whose behalf. The daemon's own process is closed to it."),
	exec("environ", "Reads the environment of another process in /proc.", byEnviron, byOpen),
	exec("environ-of-thread", "The same by a thread's directory.", byEnviron, byOpen),
	exec("environ-relative", "The same by a descriptor of the process's directory.", byEnviron, byOpen),
	exec("environ-other-proc", "The same in a proc mounted elsewhere.", byEnviron, byOpen),
}
