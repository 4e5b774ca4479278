package kubearmor

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/hostarmor/hostarmor/hostpolicy"
)

// paths reads the section of a class that is about files.
func (b *builder) paths(class hostpolicy.Class, spec object, top traits) {
	name := class.String()
	s, ok := b.object(spec.value(name), "spec."+name, with("matchPaths", "matchDirectories", "matchPatterns")...)
	if !ok || spec.value(name) == nil {
		return
	}
	t := s.traits(top)
	s.expect(spec.fields[name].at, "matchPaths", "matchDirectories", "matchPatterns")
	first := len(b.policy.Rules)
	b.entries(class, s, t, "matchPaths", with("path", "ownerOnly", "fromSource", "pts"), b.pathEntry)
	b.entries(class, s, t, "matchDirectories", with("dir", "path", "recursive", "ownerOnly", "fromSource", "pts"), b.directoryEntry)
	b.entries(class, s, t, "matchPatterns", with("pattern", "path", "ownerOnly", "fromSource", "pts"), b.patternEntry)
	b.overridePaths(first)
	b.listForAll(class, first)
}

// target is what an entry names.
type target struct {
	path, except []hostpolicy.Pattern
	at           pos
	hint         string
}

func (b *builder) entries(class hostpolicy.Class, s object, t traits, key string, known []string, read func(hostpolicy.Class, object) (target, bool)) {
	switch {
	case class == hostpolicy.File:
		known = append(known, "readOnly")
	case key == "matchPaths":
		known = append(known, "execname", "allowedArgs")
	}
	for i, item := range s.list(key) {
		since := len(b.problems)
		o, ok := b.object(item, fmt.Sprintf("%s[%d]", s.field(key), i), known...)
		if item.kind == null {
			b.wrongType(item, o.path, "a mapping")
			ok = false
		}
		if !ok {
			continue
		}
		own := o.traits(t)
		if o.has("path") && (o.has("dir") || o.has("pattern")) {
			b.err(codePath, o.fields["path"].at, o.field("path"), "the entry has a path besides", "write two entries")
			continue
		}
		from, places := b.sources(o)
		o.refuse("allowedArgs", "HostArmor does not judge the arguments of a program", "write a rule for the program alone, or for its command with args = [...] in TOML")
		o.refusePTS()
		what, ok := read(class, o)
		if !ok {
			continue
		}
		r := hostpolicy.Rule{Class: class, Path: what.path, Except: what.except, From: from, Access: hostpolicy.Exec, OwnerOnly: o.boolean("ownerOnly")}
		r.Places = hostpolicy.Places{Path: repeat(b.position(what.at), len(what.path)), Except: repeat(b.position(what.at), len(what.except)), From: places}
		if class == hostpolicy.File {
			r.Access = hostpolicy.Read | hostpolicy.Write
		}
		if !o.boolean("readOnly") {
			b.add(r, what.hint, item.at, own, since)
			continue
		}
		if own.action == hostpolicy.Allow {
			r.Access = hostpolicy.Read
			b.add(r, what.hint, item.at, own, since)
			continue
		}
		// Nobody may write, and with ownerOnly nobody but the owner read.
		owner := r.OwnerOnly
		r.Access, r.OwnerOnly = hostpolicy.Write, false
		b.add(r, what.hint, item.at, own, since)
		if owner {
			r.Access, r.OwnerOnly = hostpolicy.Read, true
			b.add(r, what.hint+"-others", item.at, own, len(b.problems))
		}
	}
}

func repeat(p hostpolicy.Position, n int) []hostpolicy.Position {
	return slices.Repeat([]hostpolicy.Position{p}, n)
}

// expect warns of a section without any of its lists.
func (o object) expect(at pos, lists ...string) {
	if !slices.ContainsFunc(lists, o.has) {
		o.l.warn(codeNoRules, at, o.path, "the section has no rule, so it does nothing", "remove it, or write "+strings.Join(lists, " or "))
	}
}

// refuse reports a field that has no counterpart.
func (o object) refuse(name, why, fix string) {
	if o.has(name) {
		o.l.err(codeNotCarried, o.fields[name].at, o.field(name), why, fix)
	}
}

func (o object) refusePTS() {
	if o.has("pts") && !o.boolean("pts") {
		o.refuse("pts", "HostArmor does not tell a terminal's processes from others", "leave it out, or select the users who log in, with login_user in TOML")
	}
}

// listForAll lets an allow-list count for every program, as in KubeArmor, where
// all Allow rules of a class are for some programs only.
func (b *builder) listForAll(class hostpolicy.Class, first int) {
	var limited *hostpolicy.Rule
	for i := first; i < len(b.policy.Rules); i++ {
		r := &b.policy.Rules[i]
		switch {
		case r.Action != hostpolicy.Allow:
		case len(r.From) == 0:
			return
		case limited == nil:
			limited = r
		}
	}
	if limited == nil {
		return
	}
	r := hostpolicy.Rule{Class: class, Path: limited.Path, Except: limited.Path, Access: limited.Access}
	r.Places = hostpolicy.Places{Path: limited.Places.Path, Except: limited.Places.Path}
	at := pos{limited.Position.Line, limited.Position.Column}
	rule := b.add(r, "allow-list", at, traits{action: hostpolicy.Allow}, len(b.problems))
	b.notes = append(b.notes, remark{ruleKey(rule), "permits nothing itself: it makes the class an allow-list for every program, as KubeArmor does, and not only for those of from"})
}

// sources reads fromSource.
func (b *builder) sources(o object) (patterns []hostpolicy.Pattern, places []hostpolicy.Position) {
	if n := o.value("fromSource"); n != nil && (n.kind == null || n.kind == sequence && len(n.items) == 0) {
		b.err(codePath, o.fields["fromSource"].at, o.field("fromSource"), "no program is named", "name one, or remove fromSource if every program is meant")
		return nil, nil
	}
	for i, item := range o.list("fromSource") {
		path := fmt.Sprintf("%s[%d]", o.field("fromSource"), i)
		s, ok := b.object(item, path, "path", "dir", "recursive")
		if !ok {
			continue
		}
		var what target
		switch {
		case s.has("path") == s.has("dir"):
			b.err(codePath, item.at, path, "a source is a path or a dir", "write path: /usr/bin/PROGRAM")
			continue
		case s.has("path"):
			s.refuse("recursive", "only a dir is recursive", "remove it")
			what, ok = b.pathEntry(hostpolicy.Process, s)
		default:
			what, ok = b.directoryEntry(hostpolicy.Process, s)
		}
		for _, p := range what.path {
			if ok && !slices.Contains(patterns, p) {
				patterns = append(patterns, p)
				places = append(places, b.position(what.at))
			}
		}
	}
	return patterns, places
}

func (b *builder) pathEntry(class hostpolicy.Class, o object) (target, bool) {
	if o.has("execname") {
		return b.execname(o)
	}
	text, at, ok := b.fileName(o, "path")
	if !ok {
		return target{}, false
	}
	field := o.field("path")
	switch {
	case text == "/":
		b.err(codePath, at, field, "this is the root directory, not a file", "write it in matchDirectories, as dir: /")
		return target{}, false
	case strings.HasSuffix(text, "/"):
		b.err(codePath, at, field, fmt.Sprintf("%s is a directory, not a file", quote(text)), "write it in matchDirectories, as dir: "+text)
		return target{}, false
	case class == hostpolicy.Process && b.hasArguments(text, text, at, field):
		return target{}, false
	}
	p, ok := b.literalOrGlob(text, "", at, field, "matchPatterns")
	return target{path: []hostpolicy.Pattern{p}, at: at, hint: base(text)}, ok
}

// execname is the name of a program in any directory.
func (b *builder) execname(o object) (target, bool) {
	text, at, ok := o.text("execname")
	field := o.field("execname")
	switch {
	case !ok:
		return target{}, false
	case o.has("path"):
		b.err(codePath, at, field, "the entry has a path and an execname", "write two entries")
		return target{}, false
	case text == "" || strings.TrimSpace(text) != text || strings.Contains(text, "/"):
		b.err(codePath, at, field, fmt.Sprintf("%s is not the name of a program without its directory", quote(text)), "write execname: bash, or path: /usr/bin/bash")
		return target{}, false
	case b.hasArguments(text, text, at, field):
		return target{}, false
	}
	p, ok := b.literalOrGlob("/"+text, "/**", at, field, "matchPatterns")
	return target{path: []hostpolicy.Pattern{p}, at: at, hint: text}, ok
}

func (b *builder) directoryEntry(class hostpolicy.Class, o object) (target, bool) {
	key := b.alias(o, "dir")
	text, at, ok := b.fileName(o, key)
	if !ok {
		return target{}, false
	}
	field := o.field(key)
	if !strings.HasSuffix(text, "/") {
		b.warn(codePathMeant, at, field, fmt.Sprintf("%s is understood as the directory %s", quote(text), quote(text+"/")), "end it with a slash")
		text += "/"
	}
	tree, ok := b.literalOrGlob(text, "", at, field, "matchPatterns")
	if !ok {
		return target{}, false
	}
	what := target{path: []hostpolicy.Pattern{tree}, at: at, hint: base(text)}
	if o.boolean("recursive") {
		return what, true
	}
	// The directory itself belongs to it, as in both of KubeArmor's enforcers:
	// who may rename it or list it has got round the rule. None is executed.
	direct, deeper := tree.String()+"*", tree.String()+"*/**"
	if class == hostpolicy.Process {
		what.path[0], ok = b.pattern(direct, at, field)
		return what, ok
	}
	p, ok := b.pattern(deeper, at, field)
	what.except = []hostpolicy.Pattern{p}
	return what, ok
}

func (b *builder) patternEntry(class hostpolicy.Class, o object) (target, bool) {
	key := b.alias(o, "pattern")
	text, at, ok := b.fileName(o, key)
	if !ok {
		return target{}, false
	}
	field := o.field(key)
	if regular.MatchString(text) {
		b.err(codeRegexp, at, field, fmt.Sprintf("%s is a regular expression, and patterns are globs", quote(text)), globFix(text))
		return target{}, false
	}
	if i := strings.Index(text, ".*"); i > 0 && text[i-1] != '/' && text[i-1] != '*' && text[i-1] != '\\' {
		b.warn(codeRegexp, at, field, fmt.Sprintf("%s is understood as a glob, where .* is a dot and then any text", quote(text)), "write * alone if any text is meant")
	}
	// AppArmor's way to write a question mark.
	text = strings.ReplaceAll(text, "[^/]", "?")
	if class == hostpolicy.Process {
		plain := strings.ReplaceAll(text, `\ `, "_")
		if b.hasArguments(plain, text, at, field) {
			return target{}, false
		}
	}
	p, ok := b.pattern(text, at, field)
	if !ok {
		return target{}, false
	}
	if slices.ContainsFunc(p.Expand(), func(alt string) bool { return strings.HasSuffix(alt, "/") }) {
		b.warn(codePathMeant, at, field, fmt.Sprintf("%s ends in a slash, and is understood as the directory and all beneath", quote(text)), "write it without the slash for the directory alone")
	}
	return target{path: []hostpolicy.Pattern{p}, at: at, hint: base(text)}, true
}

// These mean something in a regular expression, and nothing or something else
// in a glob.
var regular = regexp.MustCompile(`^\^|\$$|\.\+|\\[dwsDWSbB]|\([^)]*\|[^)]*\)|\([?]|\]\+`)

// globFix is the glob for a regular expression, where that is easy to say.
func globFix(text string) string {
	glob := strings.TrimSuffix(strings.TrimPrefix(text, "^"), "$")
	glob = strings.NewReplacer(`\*`, "*", `.*`, "*", `\.`, ".", `[^/]+`, "*", `[0-9]+`, "*", `\d+`, "*").Replace(glob)
	if p, err := hostpolicy.ParsePattern(glob); err == nil && !regular.MatchString(glob) && !strings.ContainsAny(glob, "()|+") {
		return "write " + quote(p.String())
	}
	return "write * for any text in one component, ** for any number of directories, {a,b} for either"
}

// alias finds the name of an entry that is written as path where it has a key
// of its own.
func (b *builder) alias(o object, key string) string {
	if o.has(key) || !o.has("path") {
		return key
	}
	b.warn(codeUnderstood, o.fields["path"].at, o.field("path"), "path is understood as "+key, "write "+key)
	return "path"
}

// fileName reads an absolute name of one file, directory or pattern.
func (b *builder) fileName(o object, key string) (string, pos, bool) {
	text, at, ok := o.text(key)
	field := o.field(key)
	trimmed := strings.TrimSpace(text)
	switch {
	case !o.has(key):
		b.err(codePath, o.at, field, fmt.Sprintf("the entry has no %s", key), fmt.Sprintf("write %s: and an absolute path", key))
	case !ok:
	case trimmed == "":
		b.err(codePath, at, field, "the value is empty", "write an absolute path")
	case trimmed != text:
		b.err(codePath, at, field, fmt.Sprintf("%s begins or ends with a space", quote(text)), "write "+quote(trimmed))
	case !strings.HasPrefix(text, "/") && !(key == "pattern" && strings.HasPrefix(text, "^")):
		b.err(codePath, at, field, fmt.Sprintf("%s is not absolute", quote(text)), relativeFix(key, text))
	default:
		return text, at, true
	}
	return "", at, false
}

func relativeFix(key, text string) string {
	switch {
	case strings.HasPrefix(text, "~"), strings.HasPrefix(text, "$"), strings.HasPrefix(text, "@{"):
		return "write the whole path: policies know no variables"
	case key == "pattern" && !strings.Contains(text, "/"):
		return "write " + quote("/**/"+text)
	case key == "path" && !strings.Contains(text, "/"):
		return "write execname: for a program in any directory, or the whole path"
	}
	return "write the whole path from /"
}

// hasArguments reports a program that is written with its arguments.
func (b *builder) hasArguments(text, written string, at pos, field string) bool {
	name := text[strings.LastIndexByte(text, '/')+1:]
	i := strings.IndexByte(name, ' ')
	if i < 0 {
		return false
	}
	program := text[:len(text)-len(name)+i]
	b.err(codeArguments, at, field, fmt.Sprintf("%s names a program with its arguments, and rules know programs only, so it would never match", quote(written)),
		fmt.Sprintf(`write %s, or a pattern with "\ " where a file name really has a space`, quote(program)))
	return true
}

// literalOrGlob reads a name that KubeArmor takes literally, unless it can only
// be meant as a glob.
func (b *builder) literalOrGlob(text, prefix string, at pos, field, where string) (hostpolicy.Pattern, bool) {
	if !strings.ContainsAny(text, "*?") {
		return b.pattern(prefix+hostpolicy.Escape(text), at, field)
	}
	p, ok := b.pattern(prefix+text, at, field)
	if ok {
		b.warn(codePathMeant, at, field, fmt.Sprintf("%s is understood as a pattern, where KubeArmor may look for a file with that very name", quote(text)), "write it in "+where)
	}
	return p, ok
}

func (b *builder) pattern(text string, at pos, field string) (hostpolicy.Pattern, bool) {
	p, err := hostpolicy.ParsePattern(text)
	if err == nil {
		return p, true
	}
	message, fix := err.Error(), ""
	if pe, ok := errors.AsType[*hostpolicy.PatternError](err); ok {
		message, fix = quote(pe.Text)+" "+pe.Reason, pe.Fix
	}
	b.err(codePath, at, field, message, fix)
	return hostpolicy.Pattern{}, false
}

// base is what a path is about, for the name of its rule: its last component
// that is not a glob.
func base(path string) string {
	components := strings.Split(strings.Trim(path, "/"), "/")
	for i := len(components) - 1; i >= 0; i-- {
		if name := tidy(strings.NewReplacer("*", "", "?", "").Replace(components[i])); name != "" {
			return name
		}
	}
	if strings.Trim(path, "/") == "" {
		return "root"
	}
	return "any"
}
