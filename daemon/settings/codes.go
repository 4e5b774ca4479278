package settings

import "github.com/hostarmor/hostarmor/hostpolicy"

// Codes explains the codes of problems in the settings file.
var Codes = map[string]hostpolicy.Code{
	CodeUnreadable: {
		Title: "the settings file cannot be read",
		Why:   "Somebody relies on what stands in it. At the start the settings that were last in force are used, or the defaults where none are known; a reload is refused.",
		Fix:   "Correct the link or the permissions: chown root FILE && chmod 0644 FILE. Remove the file to get the defaults.",
	},
	codeSyntax: {
		Title: "the settings file is not valid TOML",
		Why:   "Nothing of it can be used. At the start the settings that were last in force are used, or the defaults where none are known; a reload is refused.",
		Fix:   `Strings stand in quotes, lists in brackets, and every key stands once: backend = "auto"`,
	},
	codeUnknown: {
		Title: "there is no such setting",
		Why:   "A misspelt key would be a setting that somebody relies on and that has no effect. TOML counts every key after a [table] as part of that table.",
		Fix:   "Correct the spelling, or move it: backend and required first, then [events] with fold. The packaged hostarmor.toml lists every key.",
	},
	codeValue: {
		Title: "the setting takes other values",
		Why:   "A value that is guessed at would be a setting that nobody chose.",
		Fix:   `Write one that the message names: unsupported = "warn", fold = "1s", required = true`,
	},
	codeNotYet: {
		Title: "this version does not have what the setting asks for",
		Why:   "The setting is part of the design, and this version cannot keep it. Accepting it would be a promise that nothing keeps.",
		Fix:   "Leave the key out, or write its default.",
	},
}
