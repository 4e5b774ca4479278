package policyfile

import "github.com/hostarmor/hostarmor/hostpolicy"

// The codes of problems. They are stable: scripts match on them. HA007 and
// HA010 said that something is not enforced yet; they are not used again.
const (
	codeSyntax      = "HA001"
	codeUnreadable  = "HA002"
	codeTooLarge    = "HA003"
	codeNotText     = "HA004"
	codeFileMode    = "HA005"
	codeDirMode     = "HA006"
	codeUnknownKey  = "HA008"
	codeType        = "HA009"
	codeName        = "HA011"
	codeDuplicate   = "HA012"
	codeNoSelector  = "HA013"
	codeRelative    = "HA014"
	codeEmptySelect = "HA015"
	codePattern     = "HA016"
	codeEmpty       = "HA017"
	codeText        = "HA018"
	codeAction      = "HA019"
	codeAccess      = "HA020"
	codeSeverity    = "HA021"
	codeNoPath      = "HA022"
	codeRepeated    = "HA023"
	codeNoRules     = "HA024"
	codeNoAllow     = "HA025"
	codeOtherwise   = "HA026"
	codeNeverMatter = "HA027"
	codeInterpreter = "HA028"
	codeLockOut     = "HA029"
	codeTooDeep     = "HA030"
	codeExclusive   = "HA031"
	codeUser        = "HA032"
	codeUnit        = "HA033"
	codeProtocol    = "HA034"
	codeCapability  = "HA035"
	codeOperation   = "HA036"
	codePort        = "HA037"
	codeAddress     = "HA038"
	codeArgs        = "HA039"
	codeLabel       = "HA060"
	codeWithin      = "HA061"
	codeCatchAll    = "HA062"
	codeClosed      = "HA063"
	codeArgv0       = "HA064"
	codeSessions    = "HA065"
	codeRootRange   = "HA066"
	codeExecutor    = "HA067"
	codePeers       = "HA068"
	codeNoFiles     = "HA069"
)

// Codes are those of the packages policyfile and canonical.
var Codes = map[string]hostpolicy.Code{
	codeSyntax: {
		Title: "the file is not valid TOML",
		Why:   "Nothing after the error was read, so none of the file can be used: half a policy protects less than its author believes. A key or table that is defined twice is such an error too.",
		Fix:   `Strings stand in quotes, lists in brackets, and every key stands once: path = ["/bin/sh", "/bin/bash"]`,
	},
	codeUnreadable: {
		Title: "the file cannot be opened or is not a regular file",
		Why:   "A policy that cannot be read cannot be enforced, and somebody relies on it. Devices, FIFOs and sockets are not opened at all, because that can have effects or wait for ever.",
		Fix:   "Correct the link or the permissions, or move the file out of the policy directory.",
	},
	codeTooLarge: {
		Title: "the file is larger than a policy is expected to be",
		Why:   "It is probably not a policy, and reading it would cost memory that the machine may not have.",
		Fix:   "Split the policy into several files, each with a name of its own.",
	},
	codeNotText: {
		Title: "the file holds bytes that are not UTF-8 text",
		Why:   "It is probably not a policy, or was saved in another encoding; guessing the encoding could change a path.",
		Fix:   "Save the file as UTF-8. To name a file whose name is not UTF-8, write ? for each such byte.",
	},
	codeFileMode: {
		Title: "others than root can change the policy file",
		Why:   "Whoever can change a policy can lift enforcement, so such a file is not believed.",
		Fix:   "chown root FILE && chmod go-w FILE",
	},
	codeDirMode: {
		Title: "others than root can change the directory of policies",
		Why:   "Whoever can change the directory can replace policies, whoever owns the files in it.",
		Fix:   "chown root DIR && chmod go-w DIR",
	},
	codeUnknownKey: {
		Title: "the key has no meaning at this place",
		Why:   "A key that is ignored would be a gap that nobody sees. TOML counts every key after a [table] as part of that table, so a key of the policy has to stand before the first one.",
		Fix:   `Correct the spelling, or move it: name, action and severity first, then [applies_to], then [file.certs] with path and access.`,
	},
	codeType: {
		Title: "the value has another type than the key takes",
		Why:   "Nothing is converted in silence: a number in quotes or a list where one value is meant may be a mistake of another kind.",
		Fix:   `severity = 8, dangerous = true, path = ["/a", "/b"], and a rule is a table with a name: [file.certs]`,
	},
	codeName: {
		Title: "not a name for a policy or rule",
		Why:   "Names appear in events, commands and file names. They are 1 to 63 letters, digits, dots, underscores and hyphens, and begin with a letter or digit.",
		Fix:   `name = "web-frontend"`,
	},
	codeDuplicate: {
		Title: "two policies have the same name",
		Why:   "An event would not say which of them decided.",
		Fix:   `Give one of them another name: name = "web-frontend-2"`,
	},
	codeNoSelector: {
		Title: "the policy does not say who is confined",
		Why:   "There is no default, because both guesses, nobody and everybody, would be dangerous.",
		Fix:   "applies_to = { host = true }, or container = { name = \"web-*\" }, unit = [\"nginx.service\"], user = [\"www-data\"]",
	},
	codeRelative: {
		Title: "the path is not absolute",
		Why:   "Rules are judged without a current directory or a home directory, so a relative path would name nothing, or another file for each process.",
		Fix:   `path = "/etc/ssl/private/"`,
	},
	codeEmptySelect: {
		Title: "the selector selects nobody",
		Why:   "A policy that confines nobody protects nothing, and looks as if it did.",
		Fix:   "applies_to = { host = true }, or remove the policy",
	},
	codePattern: {
		Title: "the pattern cannot be understood",
		Why:   "A pattern that is read in another way than it was meant is a hole. What would match nothing, such as a path with .. or an empty set, is refused too.",
		Fix:   `* and ? stop at a slash, ** crosses it, [a-z] and {a,b} work as in a shell, and \* is the star itself: path = "/usr/lib/**.so"`,
	},
	codeEmpty: {
		Title: "the value is empty",
		Why:   "An empty list could mean nothing or everything.",
		Fix:   "Leave the key out to get its default.",
	},
	codeText: {
		Title: "a tag or message that cannot be written into an event",
		Why:   "Tags and messages go into log records, one line each, and a comma separates tags.",
		Fix:   `message = "shell in the web container", tags = ["MITRE_T1059", "web"]`,
	},
	codeAction: {
		Title: "unknown action",
		Why:   "An action is block, audit or allow; otherwise, which says what becomes of the rest, is block or audit.",
		Fix:   `action = "audit"`,
	},
	codeAccess: {
		Title: "unknown access",
		Why:   "An access is read or write. Executing a file is judged by rules of class process.",
		Fix:   `access = ["read", "write"], or leave it out for both`,
	},
	codeSeverity: {
		Title: "the severity is not from 1 to 10",
		Why:   "It is written into events, where 10 is the most severe.",
		Fix:   "severity = 8",
	},
	codeNoPath: {
		Title: "the rule does not say what it is about",
		Why:   "A process or file rule names paths, a capability rule names capabilities and a system rule names operations. Leaving that out could mean nothing or everything. Only a network rule may leave all of it out: it is then about every connection of its direction.",
		Fix:   `path = "/bin/sh", name = ["CAP_NET_RAW"] or operation = ["ptrace"]`,
	},
	codeRepeated: {
		Title: "the same value stands twice in one list",
		Why:   "It does no harm, but one of them may have been meant to be another.",
		Fix:   "Remove one.",
	},
	codeNoRules: {
		Title: "the policy has no rule",
		Why:   "It does nothing.",
		Fix:   "[process.no-shells] with path = \"/bin/sh\"",
	},
	codeNoAllow: {
		Title: "the key has an effect only beside an allow rule",
		Why:   "otherwise and within say what becomes of that which a list of allow rules lacks. Without an allow rule there is no list, and all that no rule names is permitted.",
		Fix:   `action = "allow" in the rules of the list`,
	},
	codeOtherwise: {
		Title: "an allow-list that blocks, for the whole host",
		Why:   "The first program needed at boot that the list lacks stops the machine. dangerous = true says that this is known; the list then holds for PID 1 and the daemon too.",
		Fix:   `otherwise = "audit" until the events show that the list is complete; then otherwise = "block" and dangerous = true`,
	},
	codeNeverMatter: {
		Title: "something in the rule can never matter",
		Why:   "Either nothing can match it, or another rule decides in every case: block wins over audit, and audit over allow, whatever is more specific and whichever stands first. An exception in one rule does not open what another rule blocks.",
		Fix:   `Use except in the block rule: path = "/etc/ssl/", except = ["/etc/ssl/certs/"]`,
	},
	codeInterpreter: {
		Title: "the rule is about an interpreter",
		Why:   "The acting program of a script is its interpreter. A rule for it holds for every script that anybody runs with it, and an exception for it opens the door to all of them.",
		Fix:   "Name a program of its own where there is one, or confine the service by unit = [\"app.service\"].",
	},
	codeLockOut: {
		Title: "the rule would stop something that the machine cannot be repaired without",
		Why:   "It names what PID 1, systemd-executor, udevd, dbus, a login, sshd, the package manager or the daemon need; once it is in force, the way to undo it may be gone. The check knows names, ports and capabilities that are usual; it cannot know all that this machine needs. What would only be missed is a warning.",
		Fix:   `Narrow it (except, from, except_from, a container, unit or user in applies_to), begin with action = "audit", or write dangerous = true and keep another way into the machine.`,
	},
	codeTooDeep: {
		Title: "nested deeper than any policy needs",
		Why:   "Such a file is built to exhaust what reads it.",
		Fix:   "Write rules as tables, [file.certs], and lists as one level of brackets.",
	},
	codeExclusive: {
		Title: "selectors that exclude each other",
		Why:   "All that stands in [applies_to] has to match. host, everything, container and unit each say where a process runs, so two of them are a mistake. user and login_user may stand beside any of them.",
		Fix:   "Write two policies with the same rules, one for each.",
	},
	codeUser: {
		Title: "the user is not known here",
		Why:   "The kernel knows numbers. A name is looked up on this machine when policies are loaded, also for containers; a name that is not there would confine nobody.",
		Fix:   `user = ["www-data", 33, "1000-1999"]`,
	},
	codeUnit: {
		Title: "no process can run in such a unit",
		Why:   "Processes run in units of the kinds service, scope, slice, socket, mount and swap, named in full. A timer or target starts others and holds none, and so does a template without an instance.",
		Fix:   `unit = ["nginx.service", "app@*.service"]`,
	},
	codeProtocol: {
		Title: "unknown protocol or direction",
		Why:   "A network rule is about sockets of a kind, such as tcp, udp, icmp, raw, packet, unix or netlink, and about one direction: out is connect and send, in is bind, listen and accept.",
		Fix:   `direction = "out", protocol = ["tcp", "udp"]; leave protocol out for any`,
	},
	codeCapability: {
		Title: "unknown capability",
		Why:   "Capabilities are written as the kernel's manual writes them, in capitals and with CAP_, so that one name has one spelling and can be searched for.",
		Fix:   `name = ["CAP_NET_RAW", "CAP_SYS_ADMIN"]`,
	},
	codeOperation: {
		Title: "unknown operation of class system",
		Why:   "The class holds dangerous operations of the kernel under names of their own, which are not those of system calls. Executing, reading, connecting and the like have classes of their own.",
		Fix:   `operation = ["load-module", "ptrace", "mount"]`,
	},
	codePort: {
		Title: "not a port or a range of ports",
		Why:   "A port is a number from 1 to 65535. Names of services are not looked up, because they may mean another number on another machine.",
		Fix:   `ports = [443, "8000-8100"]`,
	},
	codeAddress: {
		Title: "not an address, a CIDR or a domain",
		Why:   "An address that is read in another way than it was meant is a hole: bits behind the prefix of a CIDR, a zone, or a star inside a domain are refused. A domain is followed through the answers of the DNS; names of /etc/hosts, such as localhost, never appear there.",
		Fix:   `address = ["10.0.0.0/8", "2001:db8::1", "*.example.com"]; *.example.com is every name beneath, not example.com itself`,
	},
	codeArgs: {
		Title: "not the name of a command",
		Why:   "args tells the commands of a multi-call program such as busybox apart, by the name it is called by. It does not compare arguments: whoever starts a program can write them in a hundred ways.",
		Fix:   `path = "/bin/busybox", args = ["sh", "nc"]`,
	},
	codeLabel: {
		Title: "a container's label cannot have such a key",
		Why:   "The keys of labels are compared as they are. In TOML a dot outside quotes begins a table, so a key with dots has to stand in quotes.",
		Fix:   `labels = { app = "web", "com.docker.compose.project" = "shop" }`,
	},
	codeWithin: {
		Title: "within on a rule that makes no list",
		Why:   "within says where an allow-list refuses what it lacks. A block or audit rule refuses or logs only what it names, so within would change nothing there.",
		Fix:   `action = "allow", path = "/srv/app/bin/*", within = ["/srv/app/"]`,
	},
	codeCatchAll: {
		Title: "a selector or list for more than may be meant",
		Why:   "It holds for every container, or for all of host and containers. That can be right, but what is right for one program seldom is for all, and containers have files of their own.",
		Fix:   `container = { name = "web-*" } or container = { image = "nginx:*" }`,
	},
	codeClosed: {
		Title: "a network allow-list closes more than its rules name",
		Why:   "One allow rule makes a list of the whole class network. A list that allows connecting out refuses every bind, and the other way round; Unix sockets and netlink belong to the class too, and most programs need both.",
		Fix:   `Add [network.local] with action = "allow" and protocol = ["unix", "netlink"], and a rule with direction = "in" for what the program serves.`,
	},
	codeArgv0: {
		Title: "args on a program that may not be many commands",
		Why:   "A program that is one command stays what it is under any name, and whoever starts it chooses the name. Such a rule is evaded by starting the program under another one.",
		Fix:   `Leave args out, or name the multi-call program: path = "/bin/busybox", args = ["sh"]`,
	},
	codeSessions: {
		Title: "logind moves the sessions of this unit elsewhere",
		Why:   "A login through sshd, a console or a display manager begins in that unit and then runs in session-N.scope below user.slice. A policy for the unit confines the service, not the people who log in through it.",
		Fix:   `unit = ["ssh.service", "user.slice"], or a policy with login_user = ["1000-60000"]`,
	},
	codeRootRange: {
		Title: "a range of users that holds root",
		Why:   "uid 0 is root: PID 1, udevd, logins and most services run as root.",
		Fix:   `user = ["1-999"]`,
	},
	codeNoFiles: {
		Title: "the directory holds no policy file",
		Why:   "A check of nothing is clean, and proves nothing. Policies are the files *.toml, *.yaml and *.yml of the directory itself; the service does not look into directories beneath it.",
		Fix:   "Name the directory that holds the files: hostarmor check policies/web",
	},
	codeExecutor: {
		Title: "a unit's list of programs lacks systemd-executor",
		Why:   "Since version 254 systemd starts every service through /usr/lib/systemd/systemd-executor, inside the unit. A list that lacks it keeps the unit from starting.",
		Fix:   `path = ["/usr/lib/systemd/systemd-executor", "/usr/sbin/nginx"]`,
	},
	codePeers: {
		Title: "a direction that such sockets do not tell apart",
		Why:   "The peer is known where a connection is accepted: tcp, sctp and dccp. What arrives at a udp or raw socket is not judged by its sender. Sockets that are neither connected nor bound, such as packet, are judged where they are made, for both directions.",
		Fix:   `direction = "in", protocol = "tcp", address = ["10.0.0.0/8"]; for udp use ports and local_address`,
	},
	"HA040": {
		Title: "the path is a directory, and lacks its slash",
		Why:   "A path without a trailing slash names one file. For a directory that would be the directory alone, and nothing of what is in it.",
		Fix:   `path = "/etc/ssl/private/"`,
	},
	"HA041": {
		Title: "the program is many commands in one file",
		Why:   "A link leads to a multi-call program such as busybox. The kernel sees that program, so a rule for one of its names holds for all of them.",
		Fix:   `args = ["sh"] narrows a process rule to the commands that it names`,
	},
	"HA042": {
		Title: "the path ends in a slash, and a file stands there",
		Why:   "A trailing slash means a directory and all beneath it. The file itself is named, but somebody expected a directory.",
		Fix:   `path = "/etc/ssl/private" for the file`,
	},
	"HA043": {
		Title: "symbolic links could not be followed to an end",
		Why:   "They lead nowhere, in a circle, or to another place for each process, so only the name as written is judged. What the link will lead to one day is not covered.",
		Fix:   "Name the file that is meant by its own name.",
	},
	"HA044": {
		Title: "a glob names a link, and nothing names the file behind it",
		Why:   "A file is judged by its own names. The names that a glob matches are not followed, so the rule does not hold for what the link leads to.",
		Fix:   "Add the name of that file to the list.",
	},
}
