package main

import (
	"errors"
	"fmt"
	"os/user"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hostarmor/hostarmor/daemon/mounts"
	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/hostpolicy/canonical"
	"github.com/hostarmor/hostarmor/hostpolicy/policyfile/policytest"
)

// asked is what the flags of explain say.
type asked struct {
	policies  []string
	root      string
	subject   subjectFlags
	args      []string
	owned     bool
	on        backend
	access    policytest.Access
	operation string // as written
	object    string
}

// subjectFlags are who acts.
type subjectFlags struct {
	exe, units             []string
	user, loginUser        string
	container, name, image string
	labels                 []string
}

// anyContainer is the value of --container without one.
const anyContainer = "any"

func newExplain() *cobra.Command {
	var out format
	var q asked
	c := &cobra.Command{
		Use:   "explain [flags] OPERATION [OBJECT]",
		Short: "What would become of an access, by which rule, and why",
		Long: `Judges one access as the policies have it, without the daemon: the verdict, the
rule behind it, the rules that lost and why, and what would change the outcome.

  hostarmor explain exec /bin/sh --exe /usr/sbin/nginx --unit nginx.service
  hostarmor explain read /etc/shadow --user www-data --policies ./policies
  hostarmor explain connect tcp:203.0.113.7:443 --container-name web-1 --image nginx:1.27
  hostarmor explain accept tcp:203.0.113.7:8080
  hostarmor explain capability CAP_NET_RAW
  hostarmor explain load-module

Operations are exec, map, read and write of a file; socket, connect, send, bind,
listen and accept of PROTOCOL:ADDRESS:PORT or unix:PATH; capability; and those of
class system, which have no object. For connect and send the address and port
are the remote ones; for bind and listen the local ones; for accept the address
is the peer's and the port the local one.

Without a flag that says otherwise the subject is a process of root on the host
that nobody logged in for, in no unit, whose program is unknown. For the host,
links are followed on this machine, as the daemon does, and a file has all the
names that its mounts give it; hard links are not looked for. The tree of a
container is not known: names are taken as written, in a tree with a merged /usr.
--root DIR is the tree in both cases.

A verdict that the backend of this version does not enforce is marked as NOT
ENFORCED.

Exit code 0: judged. 1: judged, and the policies have errors. 2: wrong usage.
3: it cannot be judged.`,
		Args: cobra.RangeArgs(1, 3),
		RunE: func(c *cobra.Command, args []string) error {
			if err := q.empty(c); err != nil {
				return err
			}
			if err := q.parse(args, c.Flags().Changed("container")); err != nil {
				return err
			}
			s, err := q.subject.subject()
			if err != nil {
				return err
			}
			l, err := load(q.policies, false, c.InOrStdin())
			if err != nil {
				return failure{err}
			}
			a, err := q.answer(s, &l)
			if err != nil {
				return failure{err}
			}
			if out.json() {
				err = printJSON(c.OutOrStdout(), a.json())
			} else {
				err = a.text(c.OutOrStdout())
			}
			if err == nil && bad(a.problems, false) {
				return exit(exitWrong)
			}
			return err
		},
		ValidArgsFunction: completeAccess,
	}
	out.flag(c)
	q.flags(c)
	return c
}

func (q *asked) flags(c *cobra.Command) {
	f := c.Flags()
	s := &q.subject
	f.StringArrayVar(&q.policies, "policies", nil, "judge by these files and directories (repeat it) instead of this machine's")
	f.StringVar(&q.root, "root", "", "follow links in this tree")
	f.StringArrayVar(&s.exe, "exe", nil, "the program that acts; repeat it for all names of the file")
	f.StringVar(&s.user, "user", "", "the user it runs as, by name or uid (root)")
	f.StringVar(&s.loginUser, "login-user", "", "the user who logged in for it (nobody)")
	f.StringArrayVar(&s.units, "unit", nil, "the systemd unit that holds it; repeat it for slices above")
	f.StringVar(&s.container, "container", "", "it is in a container; with a value, in the one of that name")
	f.Lookup("container").NoOptDefVal = anyContainer
	f.StringVar(&s.name, "container-name", "", "it is in the container of this name")
	f.StringVar(&s.image, "image", "", "it is in a container of this image")
	f.StringArrayVar(&s.labels, "label", nil, "it is in a container with this label, KEY=VALUE (repeat it)")
	f.StringSliceVar(&q.args, "args", nil, "what exec is called with, argv[0] first, separated by commas")
	f.BoolVar(&q.owned, "owned", false, "the file is the subject's own")
	q.on.flag(c, `say whether this backend enforces the rule: "bpf" or "apparmor"`)
	for _, dir := range []string{"policies", "root"} {
		cobra.CheckErr(c.MarkFlagDirname(dir))
	}
	cobra.CheckErr(c.MarkFlagFilename("exe"))
	for _, nothing := range []string{"user", "login-user", "unit", "container", "container-name", "image", "label", "args"} {
		complete(c, nothing)
	}
}

// empty refuses flags without a value: a script whose variable is not set would
// else be told about root on the host.
func (q *asked) empty(c *cobra.Command) error {
	s := &q.subject
	for _, flag := range []struct {
		name   string
		values []string
	}{
		{"user", []string{s.user}}, {"login-user", []string{s.loginUser}}, {"container", []string{s.container}}, {"container-name", []string{s.name}}, {"image", []string{s.image}},
		{"root", []string{q.root}}, {"policies", q.policies}, {"exe", s.exe}, {"unit", s.units},
	} {
		if c.Flags().Changed(flag.name) && slices.Contains(flag.values, "") {
			return fmt.Errorf("--%s is empty (give it a value, or leave it out)", flag.name)
		}
	}
	return nil
}

// parse reads the access. `--container NAME` is understood as well as
// `--container=NAME`: what stands before the operation is the name.
func (q *asked) parse(args []string, container bool) error {
	if _, isOperation := hostpolicy.ParseOperation(args[0]); !isOperation && container && q.subject.container == anyContainer && len(args) > 1 {
		q.subject.container, args = args[0], args[1:]
	}
	if len(args) > 2 {
		return fmt.Errorf("%s: one operation and one object are judged at a time (quote a name with spaces)", printable(strings.Join(args, " ")))
	}
	q.operation = args[0]
	if len(args) > 1 {
		q.object = args[1]
	}
	text := q.operation
	if q.object != "" {
		text += " " + q.object
	}
	var err error
	if q.access, err = policytest.ParseAccess(text); err != nil {
		return err
	}
	o := &q.access.Object
	o.Owned = q.owned
	if q.args != nil {
		if q.access.Operation != hostpolicy.OpExec {
			return errors.New("--args is for exec")
		}
		o.Args = q.args
	}
	return nil
}

// subject is who acts.
func (f *subjectFlags) subject() (hostpolicy.Subject, error) {
	s := hostpolicy.Subject{Programs: f.exe, LoginUID: hostpolicy.NoLogin}
	for _, unit := range f.units {
		if !policytest.UnitName(unit) {
			unit += ".service" // as systemctl has it
		}
		s.Units = append(s.Units, unit)
	}
	for _, exe := range f.exe {
		if !path.IsAbs(exe) {
			return s, fmt.Errorf("--exe %s: write its whole path, from /", printable(exe))
		}
	}
	var err error
	if f.user != "" {
		if s.UID, err = uid("user", f.user); err != nil {
			return s, err
		}
		s.EUID = s.UID
	}
	if f.loginUser != "" {
		if s.LoginUID, err = uid("login-user", f.loginUser); err != nil {
			return s, err
		}
	}
	name := f.name
	if f.container != "" && f.container != anyContainer {
		if name != "" && name != f.container {
			return s, errors.New("--container and --container-name give two names")
		}
		name = f.container
	}
	if f.container == "" && name == "" && f.image == "" && f.labels == nil {
		return s, nil
	}
	s.Container = &hostpolicy.Container{Name: name, Image: f.image}
	for _, label := range f.labels {
		key, value, ok := strings.Cut(label, "=")
		if !ok || key == "" {
			return s, fmt.Errorf("--label %s: write KEY=VALUE", printable(label))
		}
		if s.Container.Labels == nil {
			s.Container.Labels = make(map[string]string)
		}
		s.Container.Labels[key] = value
	}
	return s, nil
}

// uid finds a user of this machine.
func uid(flag, name string) (uint32, error) {
	if strings.Trim(name, "0123456789") == "" {
		n, err := strconv.ParseUint(name, 10, 32)
		if err != nil || n >= hostpolicy.NoLogin {
			return 0, fmt.Errorf("--%s %s: write a name, or a number below 4294967295", flag, name)
		}
		return uint32(n), nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return 0, fmt.Errorf("--%s %s: this machine has no such user (write a uid)", flag, printable(name))
	}
	n, err := strconv.ParseUint(u.Uid, 10, 32)
	return uint32(n), err
}

// answer judges the access.
func (q *asked) answer(s hostpolicy.Subject, l *loaded) (*answer, error) {
	a := &answer{q: q, problems: l.problems, inactive: len(l.inactive())}
	policies := l.set.Policies()
	a.policies = len(policies)
	name := canonical.MergedName
	root := q.root
	if root == "" && s.Container == nil {
		root = "/"
	}
	if root == "" {
		policies = canonical.MergedUsr(policies)
	} else {
		tree, err := canonical.Open(root)
		if err != nil {
			return nil, err
		}
		defer tree.Close()
		name = tree.Name
		res := tree.Names(policies, s.Container != nil)
		if s.Container == nil {
			a.problems = append(a.problems, res.Problems...)
		}
		policies = res.Policies
	}
	names := func(written []string) []string {
		var out []string
		for _, w := range written {
			out = append(out, name(w))
		}
		return out
	}
	if q.root == "" && s.Container == nil {
		table, err := mounts.Read("/proc/self/mountinfo")
		if err != nil {
			return nil, err
		}
		one := names
		names = func(written []string) []string {
			var out []string
			for _, w := range one(written) {
				out = append(out, mounts.Names(table, w)...)
			}
			return out
		}
	}
	a.subject, a.object = s, q.access.Object
	a.subject.Programs, a.object.Names = distinct(names(s.Programs)), distinct(names(a.object.Names))
	s = a.subject
	a.Explanation = hostpolicy.Explain(policies, s, q.access.Operation, a.object)
	kept, gaps := q.on.supported(policies)
	a.inForce = hostpolicy.Decide(kept, s, q.access.Operation, a.object).Action
	if a.inForce != a.Action {
		a.notEnforced = "a rule that it depends on is not"
		for _, g := range gaps {
			if a.Rule != nil && g.Rule == a.Rule.ID() {
				a.notEnforced = g.Reason
			}
		}
	}
	sortProblems(a.problems)
	return a, nil
}

func distinct(names []string) []string {
	var out []string
	for _, n := range names {
		if !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}
