package settings

import (
	"fmt"
	"path"
	"reflect"
	"strings"
	"time"

	"github.com/hostarmor/hostarmor/hostpolicy"
)

// key is one setting of the contract. set stores a decoded TOML value, or
// says what would have been right.
type key struct {
	name string
	set  func(s *Settings, v any) error
}

// keys is the table of design's Settings, in its order. An inline table that
// is one setting, as `[node] labels`, is one key here.
var keys = []key{
	{"backend", func(s *Settings, v any) error {
		if v == "apparmor" {
			return notYet("auto")
		}
		return choose(v, map[string]func(){
			"auto": func() { s.Backend = BackendAuto },
			"bpf":  func() { s.Backend = BackendBPF },
		}, `"auto" or "bpf"`)
	}},
	{"required", flag(func(s *Settings) *bool { return &s.Required })},
	{"unsupported", func(s *Settings, v any) error {
		return choose(v, map[string]func(){
			"refuse": func() { s.WarnUnsupported = false },
			"warn":   func() { s.WarnUnsupported = true },
		}, `"refuse" or "warn"`)
	}},
	{"on_stop", func(s *Settings, v any) error {
		return choose(v, map[string]func(){
			"release": func() { s.KeepOnStop = false },
			"keep":    func() { s.KeepOnStop = true },
		}, `"release" or "keep"`)
	}},
	{"node.labels", func(s *Settings, v any) error {
		table, ok := v.(map[string]any)
		if !ok {
			return want(`a table of strings, as { site = "berlin" }`)
		}
		var labels map[string]string
		for key, value := range table {
			text, ok := value.(string)
			if !ok {
				return want(fmt.Sprintf("the label %q as a string", key))
			}
			if labels == nil {
				labels = make(map[string]string)
			}
			labels[key] = text
		}
		s.NodeLabels = labels
		return nil
	}},
	{"containers.unknown", only("hold", "allow", "deny")},
	{"containers.runtimes", only([]any{})},
	{"containers.on_timeout", only("deny", "allow")},
	{"protect.self", flag(func(s *Settings) *bool { return &s.Protect.Self })},
	{"protect.policies", flag(func(s *Settings) *bool { return &s.Protect.Policies })},
	{"kubearmor.posture", posture},
	{"network.resolvers", only([]any{})},
	{"network.cut", only(false, true)},
	{"apparmor.whole_host", only(false, true)},
	{"apparmor.confine_privileged", only(false, true)},
	{"boot.guard", flag(func(s *Settings) *bool { return &s.BootGuard })},
	{"events.journal", flag(func(s *Settings) *bool { return &s.Events.Journal })},
	{"events.fold", func(s *Settings, v any) error {
		text, _ := v.(string)
		d, err := time.ParseDuration(text)
		if err != nil || d < 0 || d > time.Minute {
			return want(`a duration from "0s" to "1m", as "1s"`)
		}
		s.Events.Fold = d
		return nil
	}},
	{"events.file", func(s *Settings, v any) error {
		text, ok := v.(string)
		if !ok || text != "" && !clean(text) {
			return want(`an absolute path, or "" for no file`)
		}
		s.Events.File = text
		return nil
	}},
	{"policies.dirs", func(s *Settings, v any) error {
		list, ok := v.([]any)
		if !ok || len(list) == 0 {
			return want("a list of absolute directories")
		}
		dirs := make([]string, len(list))
		for i, e := range list {
			text, ok := e.(string)
			if !ok || !clean(strings.TrimSuffix(text, "/")) {
				return want("a list of absolute directories")
			}
			dirs[i] = path.Clean(text)
		}
		s.Dirs = dirs
		return nil
	}},
	{"policies.require_signature", only(false, true)},
}

// posture takes all three classes or some; the others keep their default.
func posture(s *Settings, v any) error {
	const shape = `{ file = "audit", network = "audit", capabilities = "audit" }, each "audit" or "block"`
	table, ok := v.(map[string]any)
	if !ok {
		return want(shape)
	}
	p := Default().Posture
	for class, value := range table {
		field := map[string]*hostpolicy.Action{"file": &p.File, "network": &p.Network, "capabilities": &p.Capabilities}[class]
		if field == nil {
			return want(shape)
		}
		switch value {
		case "audit":
			*field = hostpolicy.Audit
		case "block":
			*field = hostpolicy.Block
		default:
			return want(shape)
		}
	}
	s.Posture = p
	return nil
}

// wantError says what a key takes.
type wantError string

func (e wantError) Error() string { return "write " + string(e) }

func want(what string) error { return wantError(what) }

// notYetError refuses a value whose feature does not exist yet.
type notYetError struct{ def any }

func (e notYetError) Error() string {
	return fmt.Sprintf("not enforced by this version: only its default %s is accepted", literal(e.def))
}

func notYet(def any) error { return notYetError{def} }

// only accepts the default of a feature that does not exist yet. Other valid
// values are told from nonsense.
func only(def any, others ...any) func(*Settings, any) error {
	return func(_ *Settings, v any) error {
		if reflect.DeepEqual(v, def) {
			return nil
		}
		if reflect.TypeOf(v) != reflect.TypeOf(def) {
			return want(literal(def))
		}
		if _, text := def.(string); text {
			for _, o := range others {
				if v == o {
					return notYet(def)
				}
			}
			names := []string{literal(def)}
			for _, o := range others {
				names = append(names, literal(o))
			}
			return want(strings.Join(names, ", "))
		}
		return notYet(def)
	}
}

func flag(field func(*Settings) *bool) func(*Settings, any) error {
	return func(s *Settings, v any) error {
		b, ok := v.(bool)
		if !ok {
			return want("true or false")
		}
		*field(s) = b
		return nil
	}
}

func choose(v any, options map[string]func(), names string) error {
	text, ok := v.(string)
	if !ok || options[text] == nil {
		return want(names)
	}
	options[text]()
	return nil
}

func clean(p string) bool { return path.IsAbs(p) && path.Clean(p) == p && p != "/" }

// literal is a default as one writes it in TOML.
func literal(v any) string {
	switch v := v.(type) {
	case string:
		return fmt.Sprintf("%q", v)
	case []any:
		return "[]"
	case map[string]any:
		return "{}"
	}
	return fmt.Sprint(v)
}
