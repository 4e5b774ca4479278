package policyfile

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/hostpolicy/policyfile/kubearmor"
)

// Options of reading from disk. The zero value is what the daemon uses.
type Options struct {
	// AnyOwner skips the checks of owner and mode, for checking a user's
	// own files offline.
	AnyOwner bool
	// MaxBytes is the largest file that is read; 0 means DefaultMaxBytes.
	MaxBytes int64
	// LookupUser gives the uid of a user; nil means this machine's.
	LookupUser func(name string) (uid uint32, ok bool)

	// Node and Posture are for KubeArmor's policies. With AnyNode those for
	// other machines are taken as if they were for this one.
	Node    kubearmor.Node
	AnyNode bool
	Posture kubearmor.Posture

	owner uint32 // who must own files and directories; tests set another than root
}

// DefaultMaxBytes is the size of the largest policy file that is read.
const DefaultMaxBytes = 1 << 20

// State is what became of a file.
type State uint8

const (
	Active   State = iota + 1 // its policy is part of the set
	Rejected                  // it has an error
	Masked                    // a file of the same name stands before it, or it is empty
)

func (s State) String() string {
	switch s {
	case Active:
		return "active"
	case Rejected:
		return "rejected"
	case Masked:
		return "masked"
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// Entry is one file of a directory of policies.
type Entry struct {
	Path     string
	State    State
	MaskedBy string // for a masked file: the path that masks it, or its own
	SHA256   string // of Content, hexadecimal; "" where it was not read
	Content  []byte
	Policies []hostpolicy.Policy // of an active file
	Inactive []Inactive          // those of its policies that are not for this machine
	Problems []hostpolicy.Problem
}

// Inactive is a valid policy that confines nobody here.
type Inactive = kubearmor.Inactive

// Set is what the directories hold, in the order of file names.
type Set struct {
	Files []Entry
}

// Policies are those of the active files.
func (s Set) Policies() []hostpolicy.Policy {
	var policies []hostpolicy.Policy
	for i := range s.Files {
		policies = append(policies, s.Files[i].Policies...)
	}
	return policies
}

// ReadDirs reads the policies of several directories, the first one winning
// where they hold the same file name. A missing directory is an empty one.
// The problems are those of the directories and of all files.
//
// Policies are the files *.toml and KubeArmor's *.yaml and *.yml. Files of
// other names are left alone, as are editors' backups, hidden files and policy
// tests (*.test.toml).
func ReadDirs(dirs []string, o Options) (Set, []hostpolicy.Problem) {
	files, problems := listDirs(dirs, o)
	return readAll(files, problems, o)
}

// ReadPaths reads files by name, whatever their suffix, and what ReadDirs would
// read of each directory on its own. It warns of one that holds no policy.
func ReadPaths(paths []string, o Options) (Set, []hostpolicy.Problem) {
	var files []candidate
	var problems []hostpolicy.Problem
	for _, path := range paths {
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			inside, found := listDirs([]string{path}, o)
			if len(inside)+len(found) == 0 {
				empty := fileProblem(path, codeNoFiles, "the directory holds no policy file", "name the directory that does; those beneath are not looked into")
				empty.Severity = hostpolicy.Warning
				found = append(found, *empty)
			}
			files, problems = append(files, inside...), append(problems, found...)
			continue
		}
		files = append(files, candidate{path: path})
	}
	// A file may be named along with its directory.
	seen := make(map[string]bool)
	files = slices.DeleteFunc(files, func(f candidate) bool {
		path := filepath.Clean(f.path)
		again := seen[path]
		seen[path] = true
		return again
	})
	return readAll(files, problems, o)
}

// candidate is a file that may be read, in the order of precedence.
type candidate struct {
	path string
	// shadow is an earlier candidate's path with the same file name.
	shadow string
}

func listDirs(dirs []string, o Options) ([]candidate, []hostpolicy.Problem) {
	var files []candidate
	var problems []hostpolicy.Problem
	winner := make(map[string]string)
	for _, dir := range dirs {
		names, problem := o.listDir(dir)
		if problem != nil {
			problems = append(problems, *problem)
		}
		for _, name := range names {
			path := filepath.Join(dir, name)
			files = append(files, candidate{path, winner[name]})
			if winner[name] == "" {
				winner[name] = path
			}
		}
	}
	slices.SortStableFunc(files, func(a, b candidate) int {
		return cmp.Compare(filepath.Base(a.path), filepath.Base(b.path))
	})
	return files, problems
}

func readAll(files []candidate, problems []hostpolicy.Problem, o Options) (Set, []hostpolicy.Problem) {
	var set Set
	names := uniqueNames{}
	for _, f := range files {
		e := Entry{Path: f.path, State: Masked, MaskedBy: f.shadow}
		if f.shadow == "" {
			e = o.entry(f.path, names)
		}
		problems = append(problems, e.Problems...)
		set.Files = append(set.Files, e)
	}
	return set, problems
}

// entry reads one file.
func (o Options) entry(path string, names uniqueNames) Entry {
	e := Entry{Path: path, State: Rejected}
	content, masks, problem := o.read(path)
	switch {
	case problem != nil:
		e.Problems = []hostpolicy.Problem{*problem}
		return e
	case masks:
		e.State, e.MaskedBy = Masked, path
		return e
	case strings.HasSuffix(path, ".test.toml"):
		e.Problems = []hostpolicy.Problem{*fileProblem(path, codeUnreadable, "this is a test of policies, not a policy", "run it with hostarmor test")}
		return e
	}
	return o.loadEntry(path, content, names)
}

// LoadFile is what ReadPaths makes of a file with this content.
func LoadFile(path string, content []byte, o Options) Entry {
	return o.loadEntry(path, content, uniqueNames{})
}

func (o Options) loadEntry(path string, content []byte, names uniqueNames) Entry {
	sum := sha256.Sum256(content)
	l := o.load(path, content)
	names.check(&l)
	e := Entry{
		Path: path, State: Rejected, Content: content, SHA256: hex.EncodeToString(sum[:]),
		Policies: l.policies, Inactive: l.inactive, Problems: l.problems,
	}
	if !hasError(e.Problems) {
		e.State = Active
	}
	return e
}
