package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// asProgram makes the test binary be hostarmor.
const asProgram = "HOSTARMOR_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// The packaged completions are those of this program.
func TestCompletions(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		path := "../../packaging/completions/hostarmor." + shell
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if code := run(t.Context(), []string{"completion", shell}, nil, &out, &out); code != 0 || !bytes.Equal(out.Bytes(), want) {
			t.Errorf("%s is out of date: hostarmor completion %s > %s", path, shell, path)
		}
		// What is not installed here cannot read it; bash always is.
		if _, err := exec.LookPath(shell); err == nil {
			if out, err := exec.Command(shell, "-n", path).CombinedOutput(); err != nil {
				t.Errorf("%s -n %s: %v\n%s", shell, path, err, out)
			}
		} else if shell == "bash" {
			t.Error(err)
		}
	}
}

// Cobra's ShellCompDirectives, as a shell is told them.
const files, noFile, noFileNoSpace, filterExt, directories = "0", "4", "6", "8", "16"

// What a shell asks for behind the last word.
func TestCompleted(t *testing.T) {
	for _, tt := range []struct {
		words     []string
		want      []string
		directive string
	}{
		{[]string{""}, []string{"check", "completion", "convert", "events", "explain", "help", "reload", "status", "test", "unlock", "version"}, noFile},
		{[]string{"che"}, []string{"check"}, noFile},
		{[]string{"check", ""}, nil, files},
		{[]string{"check", "--why", "HA01"}, []string{"HA011", "HA012", "HA013", "HA014", "HA015", "HA016", "HA017", "HA018", "HA019"}, noFile},
		{[]string{"check", "--backend", ""}, []string{"bpf", "apparmor"}, noFile},
		{[]string{"status", "-o", ""}, []string{"text", "json"}, noFile},
		{[]string{"explain", "re"}, []string{"read", "read-proc-environ"}, noFile},
		{[]string{"explain", "exec", "/"}, nil, files},
		{[]string{"explain", "--exe", ""}, nil, files},
		{[]string{"explain", "--policies", ""}, nil, directories},
		{[]string{"explain", "capability", "CAP_NET_"}, []string{"CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN", "CAP_NET_RAW"}, noFile},
		{[]string{"explain", "connect", "u"}, []string{"udp:", "udplite:", "unix:"}, noFileNoSpace},
		{[]string{"explain", "socket", "u"}, []string{"udp", "udplite", "unix"}, noFile},
		{[]string{"explain", "mount", ""}, nil, noFile},
		{[]string{"explain", "exec", "/bin/sh", ""}, nil, noFile},
		{[]string{"test", ""}, []string{"test.toml"}, filterExt},
		{[]string{"convert", ""}, []string{"yaml", "yml"}, filterExt},
	} {
		var out, errs bytes.Buffer
		if code := run(t.Context(), append([]string{"__complete"}, tt.words...), nil, &out, &errs); code != 0 {
			t.Errorf("%q: exit code %d: %s", tt.words, code, errs.String())
			continue
		}
		var got []string
		var directive string
		for line := range strings.Lines(out.String()) {
			value, _, _ := strings.Cut(strings.TrimSpace(line), "\t")
			if d, ok := strings.CutPrefix(value, ":"); ok {
				directive = d
			} else if word := tt.words[len(tt.words)-1]; strings.HasPrefix(value, word) || tt.directive == filterExt {
				got = append(got, value) // the shell leaves out the others too
			}
		}
		if diff := cmp.Diff(tt.want, got); diff != "" || directive != tt.directive {
			t.Errorf("%q: directive %s, want %s\n%s", tt.words, directive, tt.directive, diff)
		}
	}
}

// The packaged script at work in bash.
func TestCompletionInBash(t *testing.T) {
	dir := t.TempDir()
	self, err := filepath.Abs(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(dir, "hostarmor")); err != nil {
		t.Fatal(err)
	}
	// What the package bash-completion would define.
	const script = `
compopt() { :; }
_get_comp_words_by_ref() { words=("${COMP_WORDS[@]}"); cword=$COMP_CWORD; cur=${words[cword]}; prev=${words[cword-1]}; }
source ../../packaging/completions/hostarmor.bash
COMP_WORDS=(hostarmor explain capability CAP_NET_R) COMP_CWORD=3 COMP_LINE="hostarmor explain capability CAP_NET_R" COMP_POINT=38 COMP_TYPE=9
__start_hostarmor
printf '%s\n' "${COMPREPLY[@]}"`
	cmd := exec.Command("bash", "--norc", "-c", script)
	cmd.Env = append(os.Environ(), asProgram+"=1", "PATH="+dir+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if got := strings.TrimSpace(string(out)); err != nil || got != "CAP_NET_RAW" {
		t.Errorf("%v: %q", err, got)
	}
}
