package settings

// Codes explains the codes of problems in the settings file.
var Codes = map[string]string{
	codeSyntax:  "the settings file is not valid TOML. The defaults are in force until it is.",
	codeUnknown: "the settings have no such key. A misspelt key would be a setting that somebody relies on and that has no effect. The packaged hostarmor.toml lists them all.",
	codeValue:   "the key takes other values. Its default is in force until it is corrected; the packaged hostarmor.toml lists the values.",
	codeNotYet:  "the setting is part of the design, and this version cannot keep it. Leave the key out, or write its default.",
}
