package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestFlags(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"--version"}, 0, "hostarmor devel"},
		{[]string{"--nonsense"}, exitUsage, "-nonsense"},
		{[]string{"extra"}, exitUsage, `unexpected argument "extra"`},
	} {
		var out bytes.Buffer
		if code := run(c.args, &out, &out); code != c.code || !strings.Contains(out.String(), c.says) {
			t.Errorf("%v: exit code %d, %q", c.args, code, out.String())
		}
	}
}

// The unit restarts the daemon after everything but what a restart would not
// change, and runs what the package installs.
func TestUnit(t *testing.T) {
	read := func(name string) string {
		t.Helper()
		b, err := os.ReadFile(filepath.Join("../../packaging", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	unit, pkg := read("systemd/hostarmor.service"), read("nfpm.yaml")
	for _, line := range []string{
		"Type=notify", "Restart=always", "RestartPreventExitStatus=1", "ExecReload=/usr/bin/hostarmor reload",
		"StartLimitIntervalSec=0", "ReadWritePaths=-/sys/fs/bpf", "LogRateLimitIntervalSec=0",
	} {
		if !strings.Contains(unit, "\n"+line+"\n") {
			t.Errorf("the unit has no %q", line)
		}
	}
	// Each of these would hide or replace files that rules name, or make the
	// pins read-only.
	for _, key := range []string{"PrivateTmp", "ProtectHome", "PrivateDevices", "RootDirectory", "ProtectKernelTunables", "InaccessiblePaths"} {
		if regexp.MustCompile(`(?m)^` + key + `=`).MatchString(unit) {
			t.Errorf("the unit has %s=", key)
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^Exec\w+=(/\S+)`).FindAllStringSubmatch(unit, -1) {
		if !strings.Contains(pkg, "dst: "+m[1]+"\n") {
			t.Errorf("the package does not install %s", m[1])
		}
	}
	for _, m := range regexp.MustCompile(`(?m)src: (packaging/\S+)|: (packaging/scripts/\S+)`).FindAllStringSubmatch(pkg, -1) {
		files, err := filepath.Glob("../../" + m[1] + m[2])
		if err != nil || len(files) == 0 {
			t.Errorf("nothing is at %s (%v)", m[1]+m[2], err)
		}
		for _, file := range files {
			if content, err := os.ReadFile(file); err != nil || len(content) == 0 {
				t.Errorf("%s: %d bytes (%v)", file, len(content), err)
			}
		}
	}
}
