package kubearmor

import "github.com/hostarmor/hostarmor/hostpolicy"

// The codes of problems. They are stable: scripts match on them.
const (
	codeSyntax      = "HA101"
	codeFeature     = "HA102"
	codeTooLarge    = "HA103"
	codeNotText     = "HA104"
	codeNoPolicy    = "HA105"
	codeKind        = "HA106"
	codeVersion     = "HA107"
	codeUnknown     = "HA108"
	codeDuplicate   = "HA109"
	codeType        = "HA110"
	codeName        = "HA111"
	codeSelector    = "HA112"
	codeUnderstood  = "HA113"
	codeEverywhere  = "HA114"
	codeNode        = "HA115"
	codeNamespace   = "HA116"
	codePath        = "HA117"
	codePathMeant   = "HA118"
	codeRegexp      = "HA119"
	codeArguments   = "HA120"
	codeNetwork     = "HA121"
	codeCapability  = "HA122"
	codeSpelling    = "HA123"
	codeNotCarried  = "HA124"
	codeSyscalls    = "HA125"
	codeAction      = "HA126"
	codeDescription = "HA127"
	codeNoRules     = "HA128"
	codeHostList    = "HA129"
	codePackets     = "HA130"
	codeOverruled   = "HA131"
)

// Codes explains every code of this package, and what KubeArmor itself makes of
// such a policy.
var Codes = map[string]hostpolicy.Code{
	codeSyntax: {
		Title: "the file is not valid YAML",
		Why:   "Nothing after the error was read, so none of the file can be used: half a policy protects less than its author believes. kubectl and karmor refuse such a file too.",
		Fix:   `Indent with spaces, put a space behind every colon, and put values that begin with *, &, !, [ or { in quotes: dir: "/tmp/"`,
	},
	codeFeature: {
		Title: "a feature of YAML that policies do not need",
		Why:   "Anchors, aliases, merge keys, tags, directives and complex keys hide what a rule says, and can make a short file huge. kubectl resolves them before KubeArmor sees the policy, and KubeArmor's policies need none.",
		Fix:   "Write the value out at each place, and put a value with a tab or another unusual character in double quotes.",
	},
	codeTooLarge: {
		Title: "larger or deeper than a policy is expected to be",
		Why:   "It is probably not a policy, and reading it would cost memory and time that the machine may not have. KubeArmor has no such limit, but its BPF-LSM enforcer holds 256 entries for a container and enforces none beyond.",
		Fix:   "Split it into several policies, each with a name of its own, or select by a label that all the containers carry.",
	},
	codeNotText: {
		Title: "the file holds bytes that are not plain UTF-8 text",
		Why:   "It is probably not a policy, or was saved in another encoding; guessing the encoding could change a path. kubectl reads UTF-16 and takes a lone carriage return for the end of a line; it refuses the rest.",
		Fix:   "Save the file as UTF-8 with the line ends of Linux, and without control characters.",
	},
	codeNoPolicy: {
		Title: "the file holds no policy",
		Why:   "A file without a policy protects nothing, and looks as if it did. kubectl refuses such a file.",
		Fix:   "Write a policy, or remove the file. To switch off a file of the same name in a later directory, leave it quite empty: no bytes at all.",
	},
	codeKind: {
		Title: "not a policy of KubeArmor",
		Why:   "KubeArmor looks only at KubeArmorPolicy, KubeArmorHostPolicy, KubeArmorClusterPolicy and KubeArmorNetworkPolicy, so what another kind says would be enforced by nobody.",
		Fix:   "kind: KubeArmorPolicy for containers, kind: KubeArmorHostPolicy for the host; move what is for another program out of the policy directory.",
	},
	codeVersion: {
		Title: "not the API of KubeArmor's policies",
		Why:   "In another API the same words could mean something else. Kubernetes refuses such a file; outside Kubernetes KubeArmor never looks at apiVersion, which is why files without it are about.",
		Fix:   "apiVersion: security.kubearmor.com/v1",
	},
	codeUnknown: {
		Title: "the field has no meaning at this place",
		Why:   "KubeArmor leaves out what it does not know, and the policy goes on without it. A field that is ignored is a gap that nobody sees, so here it is an error.",
		Fix:   "Correct the spelling or the indentation: matchPaths stands in process or file, and path in an entry of matchPaths.",
	},
	codeDuplicate: {
		Title: "a field stands twice in one mapping",
		Why:   "Only one of both can count. KubeArmor takes one and drops the other without a word, so half of what stands there is not enforced.",
		Fix:   "Write one field with both lists in it: a single matchPaths with all entries, each with its hyphen.",
	},
	codeType: {
		Title: "the value has another type than the field takes",
		Why:   "Nothing is converted in silence: a list where one value is meant may be a mistake of another kind. KubeArmor refuses the whole policy as invalid, without saying which field is.",
		Fix:   "path: /bin/sh, recursive: true, severity: 7, and a hyphen before each entry of a list",
	},
	codeName: {
		Title: "not a name for a policy",
		Why:   "Names appear in events, commands and file names. They are 1 to 63 letters, digits, dots, underscores and hyphens, and begin with a letter or digit. KubeArmor needs a name too, and takes longer ones; where a short form is used, the message says which.",
		Fix:   "metadata: and in it name: web-frontend",
	},
	codeSelector: {
		Title: "the selector cannot be understood, or selects nothing",
		Why:   "A policy that confines nobody protects nothing, and looks as if it did. KubeArmor loads most of these, and they then match no container and no machine.",
		Fix:   `matchLabels: and in it app: web, or kubearmor.io/container.name: "[web, api]"`,
	},
	codeUnderstood: {
		Title: "understood, though not written as KubeArmor documents it",
		Why:   "Depending on the form KubeArmor refuses it, ignores it or never matches it. Here the message says what was understood; if something else was meant, the policy is wrong.",
		Fix:   "Write it as the message says, and the warning goes.",
	},
	codeEverywhere: {
		Title: "the policy is for every container",
		Why:   "Without a selector nothing is left out. In Kubernetes KubeArmor takes such a policy for every pod of its namespace; outside it refuses the policy.",
		Fix:   "selector: and in it matchLabels: with app: web, if only some containers are meant",
	},
	codeNode: {
		Title: "no machine is named",
		Why:   "A host policy is for the machines that nodeSelector names, and without one it is taken for this machine's. KubeArmor applies it to no machine at all.",
		Fix:   `nodeSelector: and in it matchLabels: with kubernetes.io/hostname: "*", or the name of a machine`,
	},
	codeNamespace: {
		Title: "a namespace that selects nothing here",
		Why:   "Containers outside Kubernetes are in no namespace, so the policy is for them whatever namespace it names; policies for hosts and clusters have none. KubeArmor ignores it there too.",
		Fix:   "Remove the namespace, and select containers by label: matchLabels: with app: web",
	},
	codePath: {
		Title: "the path, directory or pattern cannot be understood",
		Why:   "A path that is read in another way than it was meant is a hole. Kubernetes refuses most of these; outside it KubeArmor takes the text as it stands, and it matches nothing.",
		Fix:   "path: /bin/sh for one file, dir: /tmp/ with recursive: true for a tree, pattern: /home/**/.ssh/* for a glob",
	},
	codePathMeant: {
		Title: "the path is not written as KubeArmor documents it",
		Why:   "The message says what was understood. KubeArmor's BPF-LSM enforcer never matches a dir without its slash, and looks for a file that really has a star in its name; under AppArmor the star is a glob, and dir: /tmp is every name that begins with /tmp.",
		Fix:   "End dir with a slash, and write globs in matchPatterns: pattern: /usr/bin/python3*",
	},
	codeRegexp: {
		Title: "a regular expression where a glob belongs",
		Why:   "Patterns are globs, as AppArmor knows them: KubeArmor hands them to AppArmor as they are, and its BPF-LSM enforcer ignores them all. A regular expression matches nothing there, or something else.",
		Fix:   "pattern: /proc/*/mem: * is any text in one component, ** any number of directories, {a,b} either of both",
	},
	codeArguments: {
		Title: "a program with its arguments",
		Why:   "Rules of class process name files. KubeArmor looks for a file whose name has the arguments in it, finds none, and the rule never matches. HostArmor does not judge arguments either: whoever starts a program can write them in a hundred ways.",
		Fix:   `path: /usr/bin/pip for the program whatever its arguments; in a pattern "\ " where a file name really has a space`,
	},
	codeNetwork: {
		Title: "the protocol, port or address cannot be understood or judged",
		Why:   "KubeArmor's BPF-LSM enforcer matches nothing for a protocol that it does not know, so such a rule looks like protection and is none. Types of sockets, such as stream, and the sender of UDP are not judged here.",
		Fix:   "protocol: tcp, udp, sctp, dccp, icmp, icmpv6, raw, packet or all; port: 443; cidr: 192.0.2.0/24",
	},
	codeCapability: {
		Title: "the kernel has no such capability",
		Why:   "A name that is not known confines nothing. KubeArmor's BPF-LSM enforcer takes it for chown without a word, and AppArmor refuses the whole profile.",
		Fix:   "capability: net_raw, as in capabilities(7), in lower case and without CAP_",
	},
	codeSpelling: {
		Title: "a capability in another spelling than KubeArmor's",
		Why:   "KubeArmor writes capabilities in lower case without cap_. Where CAP_ stands before the name, its BPF-LSM enforcer takes it for chown, and AppArmor refuses the profile. Here every spelling means the capability that it names.",
		Fix:   "capability: net_raw",
	},
	codeNotCarried: {
		Title: "HostArmor has no rule that means the same",
		Why:   "KubeArmor has a mechanism of its own for it. A rule that means nearly the same would be a gap, so the policy is refused instead of being loaded without it.",
		Fix:   "Write what the message names instead, or remove the field; what is left then loads.",
	},
	codeSyscalls: {
		Title: "rules for system calls are not carried over",
		Why:   "KubeArmor only ever logs system calls, whatever the action says. HostArmor judges what is done to files, programs and sockets, not by which call.",
		Fix:   "Log the calls with auditd, and write file, process or network rules for what they do: matchPaths in file for unlink and chmod.",
	},
	codeAction: {
		Title: "unknown action",
		Why:   "An action is Allow, Audit or Block. KubeArmor loads a policy with another word, and its enforcers then pass over the rules that have it.",
		Fix:   "action: Block, Audit or Allow. An entry without one has that of its section, and that of the policy; where there is none at all it is Block.",
	},
	codeDescription: {
		Title: "a severity, tag or message that cannot be written into an event",
		Why:   "A severity is from 1 to 10. Tags and messages go into log records, one line each, and a comma separates tags. Outside Kubernetes KubeArmor does not check any of it.",
		Fix:   `severity: 7, message: shell in the web container, and tags: ["MITRE_T1059", "web"]`,
	},
	codeNoRules: {
		Title: "nothing that could be enforced",
		Why:   "A policy, section or list without an entry does nothing, and looks as if it did. KubeArmor loads it and does nothing either.",
		Fix:   "process: and in it matchPaths: with the entry - path: /bin/sh; or remove what is empty",
	},
	codeHostList: {
		Title: "an allow-list for every program of the host",
		Why:   "One Allow rule makes a list of its class: whatever no rule allows is what the posture says, for every program of the machine. KubeArmor does the same, with its postures for hosts.",
		Fix:   "action: Block or Audit in a host policy, or a policy in TOML for one service: unit = [\"nginx.service\"]",
	},
	codePackets: {
		Title: "a rule for packets, taken for one about programs",
		Why:   "KubeArmor hands egress and ingress to the packet filter, which spares the loopback interface and open connections. HostArmor judges the program that connects, sends, binds, listens or accepts, on every interface; what is only forwarded passes.",
		Fix:   "Use nftables where packets are meant, and name the protocol: ports: with port: \"443\" and protocol: TCP",
	},
	codeOverruled: {
		Title: "an Allow that a Block overrules",
		Why:   "Where a Block and an Allow are about the same files, Block wins, as with KubeArmor's AppArmor enforcer. Only an Allow for the programs of fromSource counts before a Block without it.",
		Fix:   "Narrow the Block, remove the Allow, or give it fromSource: with - path: /usr/sbin/nginx",
	},
}
