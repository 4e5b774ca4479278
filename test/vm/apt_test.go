package vm

import (
	"slices"
	"strings"
	"testing"
)

func TestParseMirror(t *testing.T) {
	for _, tc := range []struct{ name, targets, want string }{
		{"first archive", "Debian|Debian|http://mirror.example/debian/\nDebian|Debian|http://other.example/debian/\n", "http://mirror.example/debian/"},
		{"not security, not third party", "Node|Node|https://node.example/\nDebian|Debian-Security|http://mirror.example/security/\nDebian|Debian|mirror+file:/etc/apt/mirrors\n", "mirror+file:/etc/apt/mirrors"},
		{"none", "Debian|Debian-Security|http://mirror.example/security/\n", ""},
		{"no lists", "", ""},
		{"broken", "Debian|Debian\n\n|||\n", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := parseMirror(tc.targets)
			if got != tc.want || (err == nil) != (tc.want != "") {
				t.Errorf("got %q, %v, want %q", got, err, tc.want)
			}
		})
	}
}

func TestParseShow(t *testing.T) {
	const show = `Package: linux-image-cloud-amd64
Source: linux-signed-amd64 (6.1.2+1)
Version: 6.1.2-1
Depends: linux-image-6.1.0-2-cloud-amd64 (= 6.1.2-1), kmod | other, linux-base
Description-en: Linux
 Version: 9

Package: linux-image-cloud-amd64
Version: 6.1.1-1
Depends: linux-image-6.1.0-1-cloud-amd64 (= 6.1.1-1)
`
	version, depends, err := parseShow(show, "linux-image-cloud-amd64")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"linux-image-6.1.0-2-cloud-amd64", "kmod", "linux-base"}
	if version != "6.1.2-1" || !slices.Equal(depends, want) {
		t.Errorf("got %s %q, want 6.1.2-1 %q", version, depends, want)
	}
}

func TestParseShowRefuses(t *testing.T) {
	for _, show := range []string{"", "N: No packages found\n", "Package: other\nVersion: 1\n", "Package: p\nDepends: x\n"} {
		if _, _, err := parseShow(show, "p"); err == nil || !strings.Contains(err.Error(), "apt-cache show p") {
			t.Errorf("%q: error %v, want one that names the command", show, err)
		}
	}
}

func TestKernelPart(t *testing.T) {
	for name, want := range map[string]bool{
		"linux-image-6.1.0-50-cloud-amd64":       true,
		"linux-binary-7.2.13+deb14-cloud-amd64":  true,
		"linux-modules-7.2.13+deb14-cloud-amd64": true,
		"linux-base-7.2.13+deb14-cloud-amd64":    true,
		"linux-base-cloud-amd64":                 false,
		"linux-image-cloud-amd64":                false,
		"linux-image-6.1.0-50-amd64":             false,
		"linux-base":                             false,
		"kmod":                                   false,
	} {
		if got := kernelPart.MatchString(name); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}
