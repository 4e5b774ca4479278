package policyfile

import (
	"fmt"
	"strings"

	"github.com/hostarmor/hostarmor/hostpolicy"
)

// interpreter names are prefixes: python3.11 is one too.
var interpreters = []string{
	"python", "perl", "ruby", "node", "nodejs", "php", "lua", "tclsh", "wish", "awk", "gawk", "mawk", "java", "deno", "bun", "guile", "ocaml", "Rscript", "osascript",
	"sh", "bash", "dash", "zsh", "ksh", "mksh", "fish", "csh", "tcsh", "ash", "busybox", "toybox",
}

// interpreters warns of patterns that name one in their last component. A
// pattern such as /usr/bin/* names none in particular.
func (l *linter) interpreters(r *hostpolicy.Rule, key string, patterns []hostpolicy.Pattern, places []hostpolicy.Position) {
	for i, p := range patterns {
		for _, alt := range p.Expand() {
			name := interpreter(alt[lastSlash(alt)+1:])
			if name == "" {
				continue
			}
			l.warn(codeInterpreter, r, key, places, i,
				fmt.Sprintf("%s names an interpreter (%s): the rule holds for every script that anybody runs with it", quote(p.String()), name), "name a program of its own, if there is one")
			break
		}
	}
}

// interpreter finds the interpreter that a base name or its literal beginning
// denotes, as in python3.11 and python3*.
func interpreter(base string) string {
	literal, globbed := base, false
	if i := strings.IndexAny(base, `*?[{\`); i >= 0 {
		literal, globbed = base[:i], true
	}
	stem := strings.TrimRight(literal, "0123456789.-")
	if stem == "" {
		return ""
	}
	for _, name := range interpreters {
		// A glob of two letters says too little: sh* may mean shutdown.
		if stem == name && (!globbed || len(stem) > 2) {
			return name
		}
	}
	return ""
}
