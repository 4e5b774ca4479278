package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/hostarmor/hostarmor/daemon/settings"
	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/hostpolicy/policyfile"
	"github.com/hostarmor/hostarmor/hostpolicy/policyfile/kubearmor"
)

// loaded is what a command read of policies.
type loaded struct {
	set      policyfile.Set
	problems []hostpolicy.Problem
}

// inactive are the policies that are for other machines.
func (l *loaded) inactive() []policyfile.Inactive {
	var list []policyfile.Inactive
	for i := range l.set.Files {
		list = append(list, l.set.Files[i].Inactive...)
	}
	return list
}

// content is the text of a file that was read, by the name in positions.
func (l *loaded) content(name string) ([]byte, bool) {
	for i := range l.set.Files {
		if e := &l.set.Files[i]; e.Path == name && e.Content != nil {
			return e.Content, true
		}
	}
	return nil, false
}

// load reads policies as the daemon of this machine does, or, of paths, a
// user's own files before they are installed: who owns them is the daemon's
// business. "-" is standard input.
func load(paths []string, anyNode bool, stdin io.Reader) (loaded, error) {
	s, problems, err := machineSettings()
	if err != nil {
		return loaded{}, err
	}
	o := policyfile.Options{
		Node:    kubearmor.Node{Labels: s.NodeLabels},
		Posture: kubearmor.Posture{File: s.Posture.File, Network: s.Posture.Network, Capabilities: s.Posture.Capabilities},
		AnyNode: anyNode,
	}
	if o.Node.Hostname, err = os.Hostname(); err != nil {
		return loaded{}, fmt.Errorf("cannot find the host's name, which a nodeSelector may ask for: %w", err)
	}
	if len(paths) == 0 {
		set, found := policyfile.ReadDirs(s.Dirs, o)
		return loaded{set, append(problems, found...)}, nil
	}
	o.AnyOwner = true
	files := slices.DeleteFunc(slices.Clone(paths), func(p string) bool { return p == "-" })
	for _, path := range files {
		// What is wrong with a file is a problem; what is not there cannot
		// be looked at.
		if err := readable(path); errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			return loaded{}, err
		}
	}
	var l loaded
	l.set, l.problems = policyfile.ReadPaths(files, o)
	// A setting that was not understood may be the one that a policy needs.
	l.problems = append(problems, l.problems...)
	if len(files) < len(paths) {
		e, err := readStdin(stdin, o)
		if err != nil {
			return loaded{}, err
		}
		l.set.Files = append(l.set.Files, e)
		l.problems = append(l.problems, e.Problems...)
	}
	return l, nil
}

// readable says why a file or directory that was named cannot be looked at. It
// opens nothing: that may wait, or have effects.
func readable(path string) error {
	if _, err := os.Stat(path); err != nil {
		return err
	}
	const readOK = 4
	if err := syscall.Access(path, readOK); err != nil {
		return &fs.PathError{Op: "read", Path: path, Err: err}
	}
	return nil
}

func readStdin(r io.Reader, o policyfile.Options) (policyfile.Entry, error) {
	content, err := readAll(r)
	if err != nil {
		return policyfile.Entry{}, err
	}
	name := "stdin.toml"
	if looksLikeYAML(content) {
		name = "stdin.yaml"
	}
	return policyfile.LoadFile(name, content, o), nil
}

// readAll reads standard input up to the limit of a policy file.
func readAll(r io.Reader) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(r, policyfile.DefaultMaxBytes+1))
	if err == nil && len(content) > policyfile.DefaultMaxBytes {
		err = fmt.Errorf("it has more than %d bytes, the limit of a policy", policyfile.DefaultMaxBytes)
	}
	if err != nil {
		return nil, fmt.Errorf("read standard input: %w", err)
	}
	return content, nil
}

// looksLikeYAML tells the two languages apart by a line that begins as no line
// of TOML can.
func looksLikeYAML(content []byte) bool {
	for line := range strings.Lines(string(content)) {
		for _, begin := range []string{"apiVersion:", "kind:", "metadata:", "spec:", "---", "%YAML"} {
			if strings.HasPrefix(line, begin) {
				return true
			}
		}
	}
	return false
}

// settingsFile is another one in tests.
var settingsFile = settings.DefaultFile

// machineSettings are those of the daemon of this machine: defaults where there
// is no such file, and an error where there is one that cannot be read, because
// it may say something else.
func machineSettings() (settings.Settings, []hostpolicy.Problem, error) {
	return readSettings(settingsFile)
}

func readSettings(name string) (settings.Settings, []hostpolicy.Problem, error) {
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return settings.Default(), nil, nil
	}
	if err != nil {
		return settings.Settings{}, nil, fmt.Errorf("cannot read the settings, which say how policies are meant: %w", err)
	}
	s, problems := settings.Load(name, text)
	return s, problems, nil
}
