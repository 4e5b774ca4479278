package policyfile

import (
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/hostarmor/hostarmor/hostpolicy"
)

var (
	fence   = regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```$")
	columns = regexp.MustCompile(`\s{2,}`)
)

// TestDocs loads every example of the manual and judges what stands below it,
// so that the manual cannot rot.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile("../../docs/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	var policies []hostpolicy.Policy
	examples, judged := 0, 0
	used := make(map[string]bool)
	for _, block := range fence.FindAllStringSubmatch(string(text), -1) {
		switch block[1] {
		case "toml":
			examples++
			var problems []hostpolicy.Problem
			policies, problems = Load("example.toml", []byte(block[2]), fixedUsers)
			for _, p := range problems {
				if p.Severity == hostpolicy.Error || !strings.Contains(block[2], "# Warned of") {
					t.Errorf("%s\nin\n%s", p, block[2])
				}
			}
			for key := range strings.FieldsFuncSeq(block[2], func(r rune) bool { return !(r == '_' || r >= 'a' && r <= 'z') }) {
				used[key] = true
			}
		case "verdicts":
			for line := range strings.Lines(block[2]) {
				judged++
				if err := judge(policies, strings.TrimSpace(line)); err != nil {
					t.Errorf("%s: %v", strings.TrimSpace(line), err)
				}
			}
		default:
			t.Errorf("what is ```%s?", block[1])
		}
	}
	if examples < 20 || judged < 60 {
		t.Fatalf("found %d examples and %d verdicts", examples, judged)
	}
	all := []tableKeys{policyKeys, selectorKeys, containerKeys}
	for _, class := range classes {
		all = append(all, ruleKeys[class])
	}
	for _, keys := range all {
		for _, key := range keys.known {
			if !strings.Contains(string(text), "`"+key+"`") {
				t.Errorf("the manual does not explain %q", key)
			}
			if !used[key] {
				t.Errorf("no example of the manual uses %q", key)
			}
		}
	}
	for _, p := range hostpolicy.Protocols() {
		if !strings.Contains(string(text), "`"+p.String()+"`") {
			t.Errorf("the manual does not name protocol %s", p)
		}
	}
	for _, o := range hostpolicy.Operations(hostpolicy.System) {
		if !strings.Contains(string(text), "| `"+o.String()+"` |") {
			t.Errorf("the manual does not explain operation %s", o)
		}
	}
	for code := range Codes {
		if !strings.Contains(string(text), "| "+code+" |") && !strings.Contains(string(text), code+", HA") && !strings.Contains(string(text), ", "+code+" |") {
			t.Errorf("the manual does not list %s", code)
		}
	}
}

// judge compares one line of the manual with Decide: who, what, and "block by
// CLASS.RULE", "block by otherwise of CLASS.RULE" or "allow".
func judge(policies []hostpolicy.Policy, line string) error {
	cells := columns.Split(line, -1)
	if len(cells) != 3 {
		return fmt.Errorf("%d columns", len(cells))
	}
	s, err := subject(strings.Fields(cells[0]))
	if err != nil {
		return err
	}
	op, o, err := access(cells[1])
	if err != nil {
		return err
	}
	d := hostpolicy.Decide(policies, s, op, o)
	got := d.Action.String()
	if d.Rule != nil {
		got += " by "
		if d.Otherwise {
			got += "otherwise of "
		}
		got += d.Rule.Class.String() + "." + d.Rule.Name
	}
	if got != cells[2] {
		return fmt.Errorf("it is %s", got)
	}
	return nil
}

func subject(words []string) (hostpolicy.Subject, error) {
	s := hostpolicy.Subject{LoginUID: hostpolicy.NoLogin}
	if words[0] == "host" {
		words = words[1:]
	} else if words[0] == "container" {
		s.Container = &hostpolicy.Container{Labels: map[string]string{}}
	}
	for ; len(words) >= 2; words = words[2:] {
		value := words[1]
		number, _ := strconv.ParseUint(value, 10, 32)
		switch words[0] {
		case "container":
			s.Container.Name = value
		case "image":
			s.Container.Image = value
		case "label":
			k, v, _ := strings.Cut(value, "=")
			s.Container.Labels[k] = v
		case "unit":
			s.Units = []string{"system.slice", value}
		case "as":
			s.Programs = []string{value}
		case "uid":
			s.UID, s.EUID = uint32(number), uint32(number)
		case "login":
			s.LoginUID = uint32(number)
		default:
			return s, fmt.Errorf("what is %q?", words[0])
		}
	}
	if len(words) > 0 {
		return s, fmt.Errorf("%q lacks its value", words[0])
	}
	return s, nil
}

func access(text string) (hostpolicy.Operation, hostpolicy.Object, error) {
	var o hostpolicy.Object
	text, o.Owned = strings.CutSuffix(text, " of its own")
	words := strings.Fields(text)
	op, ok := hostpolicy.ParseOperation(words[0])
	if !ok {
		return op, o, fmt.Errorf("unknown operation %q", words[0])
	}
	args := words[1:]
	switch {
	case op.Class() == hostpolicy.System:
		return op, o, nil
	case len(args) == 0:
		return op, o, fmt.Errorf("of what?")
	case op.Class() == hostpolicy.Capability:
		o.Capability, ok = hostpolicy.ParseCap(args[0])
	case op.Class() == hostpolicy.Network:
		o.Socket, ok = socket(op, args[0])
	default:
		o.Names, o.Args = args[:1], args[1:]
		if len(o.Args) == 0 {
			o.Args = args
		}
	}
	if !ok {
		return op, o, fmt.Errorf("what is %q?", args[0])
	}
	return op, o, nil
}

// socket reads protocol:address:port, and for accept @local address.
func socket(op hostpolicy.Operation, text string) (*hostpolicy.Socket, bool) {
	name, rest, _ := strings.Cut(text, ":")
	p, ok := hostpolicy.ParseProtocol(name)
	s := &hostpolicy.Socket{Protocols: []hostpolicy.Protocol{p}}
	if !ok || op == hostpolicy.OpSocket {
		return s, ok && rest == ""
	}
	if p == hostpolicy.Unix {
		s.Path = rest
		return s, rest != ""
	}
	rest, local, hasLocal := strings.Cut(rest, "@")
	if hasLocal {
		s.Local.Addr = netip.MustParseAddr(local)
	}
	colon := strings.LastIndexByte(rest, ':')
	port, err := strconv.ParseUint(rest[colon+1:], 10, 16)
	if err != nil {
		return nil, false
	}
	host := strings.Trim(rest[:max(colon, 0)], "[]")
	if addr, err := netip.ParseAddr(host); err == nil {
		s.Remote.Addr = addr
	} else if host != "" {
		s.Remote.Domains = []string{host}
	}
	if slices.Contains([]hostpolicy.Operation{hostpolicy.OpConnect, hostpolicy.OpSend}, op) {
		s.Remote.Port = uint16(port)
	} else {
		s.Local.Port = uint16(port)
	}
	return s, true
}
