// Package kernelcmdline reads the off switch from the kernel's command line.
// The daemon reads it, not the kernel, so that status can say why nothing is
// enforced.
package kernelcmdline

import (
	"fmt"
	"os"
	"strings"
)

// Switch is what the administrator asked for at the boot loader.
type Switch uint8

const (
	None  Switch = iota // nothing said: enforce
	Off                 // hostarmor=off: no enforcement
	Audit               // hostarmor=audit: nothing blocks, everything is logged
)

func (s Switch) String() string {
	switch s {
	case Off:
		return "off"
	case Audit:
		return "audit"
	}
	return "none"
}

// Parse finds the switch in a command line: whole words, the last one wins.
// An unknown value is no switch and is returned as unknown, so that the daemon
// can report a mistyped "hostarmor=of" in place of ignoring it.
func Parse(cmdline string) (s Switch, unknown string) {
	for word := range strings.FieldsSeq(cmdline) {
		value, ok := strings.CutPrefix(word, "hostarmor=")
		if !ok {
			continue
		}
		unknown = ""
		switch value {
		case "off":
			s = Off
		case "audit":
			s = Audit
		default:
			s, unknown = None, word
		}
	}
	return s, unknown
}

// Read parses the command line in file, usually /proc/cmdline.
func Read(file string) (Switch, string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return None, "", fmt.Errorf("read the kernel command line: %w", err)
	}
	s, unknown := Parse(string(text))
	return s, unknown, nil
}
