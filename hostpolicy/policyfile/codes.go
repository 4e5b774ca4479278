package policyfile

// The codes of problems. They are stable: scripts match on them.
const (
	codeSyntax      = "HA001"
	codeUnreadable  = "HA002"
	codeTooLarge    = "HA003"
	codeNotText     = "HA004"
	codeFileMode    = "HA005"
	codeDirMode     = "HA006"
	codeKubeArmor   = "HA007"
	codeUnknownKey  = "HA008"
	codeType        = "HA009"
	codeNotEnforced = "HA010"
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
)

// Codes explains every code of the packages policyfile and canonical in one
// line.
var Codes = map[string]string{
	codeSyntax:      "the file is not valid TOML; nothing after the error was read",
	codeUnreadable:  "the file cannot be opened or is not a regular file",
	codeTooLarge:    "the file is larger than a policy is ever expected to be, so it is probably not one",
	codeNotText:     "the file holds bytes that are not UTF-8 text, so it is probably not a policy",
	codeFileMode:    "who can change a policy file can lift enforcement: it must be owned by root, and not writable by group or others",
	codeDirMode:     "who can change the directory can replace policies: it must be owned by root, and not writable by group or others",
	codeKubeArmor:   "KubeArmor YAML is part of the design, and not enforced by this version",
	codeUnknownKey:  "the key has no meaning at this place; an ignored key would be a gap that nobody sees",
	codeType:        "the value has another type than the key takes",
	codeNotEnforced: "the key is part of the policy language, but this version does not enforce it and does not pretend to",
	codeName:        "names of policies and rules are 1 to 63 letters, digits, dots, underscores and hyphens, and begin with a letter or digit",
	codeDuplicate:   "two policies have the same name, so an event would not say which of them decided",
	codeNoSelector:  "a policy says in [applies_to] who is confined; there is no default",
	codeRelative:    "paths are absolute, because a rule is judged without a current directory",
	codeEmptySelect: "[applies_to] selects nobody",
	codePattern:     "the path pattern cannot be understood",
	codeEmpty:       "an empty value matches nothing; leave the key out to get its default",
	codeText:        "tags and messages go into log records, so they hold printable text only (and a tag no comma)",
	codeAction:      "an action is block, audit or allow; otherwise is block or audit",
	codeAccess:      "an access is read or write; executing belongs to class process",
	codeSeverity:    "a severity is an integer from 1 to 10",
	codeNoPath:      "a rule of class process or file names at least one path",
	codeRepeated:    "the same value stands twice in one list",
	codeNoRules:     "the policy has no rule, so it does nothing",
	codeNoAllow:     "otherwise has an effect only beside an allow rule",
	codeOtherwise:   "an allow-list that blocks everything else on the whole host stops the machine unless it is complete",
	codeNeverMatter: "its exceptions, or a block rule for the same path, leave this path without effect",
	codeInterpreter: "a rule for an interpreter holds for every script that anybody runs with it",
	codeLockOut:     "the rule would stop PID 1, udevd, dbus, a login, the package manager or the daemon, and with it the way to undo the rule",
	codeTooDeep:     "values or keys are nested deeper than any policy needs",

	"HA040": "a path without a trailing slash names one file; for a directory and all beneath, it ends in a slash",
	"HA041": "the program is many commands in one file, told apart by argv[0] only: a rule for one of them holds for all",
	"HA042": "a path with a trailing slash names a directory, but a file stands there",
	"HA043": "symbolic links on the way to the path could not be followed to an end, so only the written name is judged",
	"HA044": "a glob names a symbolic link and nothing names the file behind it, which is judged by its own name",
}
