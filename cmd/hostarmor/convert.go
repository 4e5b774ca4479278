package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/hostarmor/hostarmor/daemon/atomicfile"
	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/hostpolicy/policyfile"
	"github.com/hostarmor/hostarmor/hostpolicy/policyfile/kubearmor"
)

func newConvert() *cobra.Command {
	var dir string
	var force bool
	c := &cobra.Command{
		Use:   "convert [--dir DIR [--force]] FILE.yaml...",
		Short: "Rewrite KubeArmor's YAML policies as TOML",
		Long: `Prints each policy of the files as TOML, with a comment wherever the meaning is
not plainly the original's. What becomes of accesses that no Allow rule permits is
taken from [kubearmor] posture of this machine's settings, as the daemon takes it.
FILE may be - for standard input.

Problems are printed on standard error with their place. A file with an error
gives no policy at all. A policy is one TOML file: --dir writes each as
DIR/NAME.toml, and replaces none without --force.

Exit code 0: all was carried over. 1: something could not be. 3: a file cannot be
read or written.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, paths []string) error {
			if force && dir == "" {
				return errors.New("--force is for --dir")
			}
			j := conversion{sources: map[string][]byte{}, taken: map[string]bool{}}
			for _, path := range paths {
				if err := j.convert(path, c.InOrStdin()); err != nil {
					return failure{err}
				}
			}
			if len(j.problems) > 0 {
				t := &failing{w: c.ErrOrStderr()}
				showProblems(t, j.problems, func(name string) ([]byte, bool) { text, ok := j.sources[name]; return text, ok })
				if t.err != nil {
					return written(t.err)
				}
			}
			if dir != "" {
				if err := j.write(c.OutOrStdout(), dir, force); err != nil {
					return failure{err}
				}
			} else if err := j.print(c.OutOrStdout(), c.ErrOrStderr()); err != nil {
				return err
			}
			if j.lost {
				return exit(exitWrong)
			}
			return nil
		},
		ValidArgsFunction: cobra.FixedCompletions([]string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt),
	}
	c.Flags().StringVar(&dir, "dir", "", "write each policy as a file of this directory")
	c.Flags().BoolVar(&force, "force", false, "replace files that are there")
	cobra.CheckErr(c.MarkFlagDirname("dir"))
	return c
}

// conversion is what became of the files.
type conversion struct {
	texts    []kubearmor.Converted
	sources  map[string][]byte
	problems []hostpolicy.Problem
	taken    map[string]bool // names of policies
	lost     bool            // something was not carried over
}

func (j *conversion) convert(path string, stdin io.Reader) error {
	content, problems, err := readSource(&path, stdin)
	if err != nil {
		return err
	}
	j.sources[path] = content
	if len(problems) == 0 {
		s, found, err := machineSettings()
		if err != nil {
			return err
		}
		if len(j.sources) == 1 { // said once
			j.problems = append(j.problems, found...)
			j.lost = j.lost || bad(found, false)
		}
		var texts []kubearmor.Converted
		var ok bool
		texts, problems, ok = kubearmor.Convert(path, content, kubearmor.Options{
			Posture: kubearmor.Posture{File: s.Posture.File, Network: s.Posture.Network, Capabilities: s.Posture.Capabilities},
		})
		j.lost = j.lost || !ok
		for _, t := range texts {
			if j.taken[t.Name] {
				problems = append(problems, hostpolicy.Problem{
					Position: hostpolicy.Position{File: path, Line: 1, Column: 1}, Code: "HA012", Severity: hostpolicy.Error, Field: "metadata.name",
					Message: fmt.Sprintf("another policy is named %q too", t.Name), Fix: "give one of them another name",
				})
				continue
			}
			j.taken[t.Name] = true
			j.texts = append(j.texts, t)
		}
	}
	j.problems = append(j.problems, problems...)
	j.lost = j.lost || bad(problems, false)
	return nil
}

// readSource reads a file, or standard input, which then gets a name.
func readSource(path *string, stdin io.Reader) ([]byte, []hostpolicy.Problem, error) {
	if *path != "-" {
		if err := readable(*path); err != nil {
			return nil, nil, err
		}
		content, problems := policyfile.ReadFile(*path, policyfile.Options{AnyOwner: true})
		return content, problems, nil
	}
	*path = "stdin.yaml"
	content, err := readAll(stdin)
	return content, nil, err
}

func (j *conversion) print(out, errs io.Writer) error {
	t := &failing{w: out}
	for i, text := range j.texts {
		if i > 0 {
			fmt.Fprintln(t)
		}
		if len(j.texts) > 1 {
			fmt.Fprintf(t, "# File %s.toml\n", text.Name)
		}
		t.Write(text.TOML)
	}
	if len(j.texts) > 1 {
		fmt.Fprintf(errs, "hostarmor: these are %d policies, and a TOML file holds one: write them with --dir DIR\n", len(j.texts))
	}
	return written(t.err)
}

// write writes nothing at all where a file is in the way.
func (j *conversion) write(out io.Writer, dir string, force bool) error {
	var inTheWay []error
	paths := make([]string, len(j.texts))
	for i, text := range j.texts {
		paths[i] = filepath.Join(dir, text.Name+".toml")
		if _, err := os.Lstat(paths[i]); err == nil && !force {
			inTheWay = append(inTheWay, fmt.Errorf("%s is there already (replace it with --force)", paths[i]))
		}
	}
	if len(inTheWay) > 0 {
		return errors.Join(inTheWay...)
	}
	put := atomicfile.Create
	if force {
		put = atomicfile.Write
	}
	t := &failing{w: out}
	for i, text := range j.texts {
		if err := put(paths[i], text.TOML, 0o644); errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("%s is there already (replace it with --force)", paths[i])
		} else if err != nil {
			return err
		}
		fmt.Fprintln(t, paths[i])
	}
	return t.err
}
