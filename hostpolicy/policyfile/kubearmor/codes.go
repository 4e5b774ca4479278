package kubearmor

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

// Codes explains every code of this package in one line.
var Codes = map[string]string{
	codeSyntax:      "the file is not valid YAML; nothing after the error was read",
	codeFeature:     "anchors, aliases, merge keys, tags, directives and complex keys are not read: KubeArmor's policies need none, and they hide what a rule says",
	codeTooLarge:    "the file is larger or deeper than a policy is ever expected to be, so it is probably not one",
	codeNotText:     "the file holds bytes that are not plain UTF-8 text, so it is probably not a policy",
	codeNoPolicy:    "a file of policies holds at least one",
	codeKind:        "only KubeArmorPolicy, KubeArmorHostPolicy, KubeArmorClusterPolicy and KubeArmorNetworkPolicy are policies",
	codeVersion:     "the apiVersion of KubeArmor's policies is security.kubearmor.com/v1",
	codeUnknown:     "the field has no meaning at this place; an ignored field would be a gap that nobody sees",
	codeDuplicate:   "a field stands twice, and only one of both could count",
	codeType:        "the value has another type than the field takes",
	codeName:        "names of policies are 1 to 63 letters, digits, dots, underscores and hyphens, and begin with a letter or digit",
	codeSelector:    "the selector cannot be understood, or selects nothing",
	codeUnderstood:  "the form is not the documented one, but its meaning is clear; the message says what was understood",
	codeEverywhere:  "without a selector the policy is for all containers, or for every process of this host",
	codeNode:        "nodeSelector says which machines a host policy is for; without one it is for this one",
	codeNamespace:   "containers outside Kubernetes are in no namespace, and the policy is for them whatever namespace it names",
	codePath:        "the path, directory or pattern cannot be understood",
	codePathMeant:   "the path is not written as KubeArmor documents it; the message says what was understood",
	codeRegexp:      "patterns are globs as AppArmor knows them, not regular expressions",
	codeArguments:   "a rule of class process names programs; a file name with arguments behind it matches nothing",
	codeNetwork:     "the protocol, port or address cannot be understood, or such traffic cannot be judged",
	codeCapability:  "the kernel has no such capability",
	codeSpelling:    "KubeArmor writes capabilities in lower case without cap_, and matches nothing where they are written otherwise; here the meaning is the same",
	codeNotCarried:  "HostArmor has no rule that means the same, and one that means nearly the same would be a gap",
	codeSyscalls:    "KubeArmor only logs system calls, and HostArmor judges operations, not calls",
	codeAction:      "an action is Allow, Audit or Block",
	codeDescription: "severity is an integer from 1 to 10; tags and messages are printable text, a tag without a comma",
	codeNoRules:     "the policy has no rule, so it does nothing",
	codeHostList:    "an Allow rule makes its class an allow-list for every program of the host",
	codeOverruled:   "a Block for the same file wins over an Allow, unless that is for the programs of fromSource only",
	codePackets:     "KubeArmor filters packets of network policies; HostArmor judges the program that connects, binds or accepts",
}
