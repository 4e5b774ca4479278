//go:build e2e

package escapes

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// atLeast tells whether the running kernel is of this version ("6.12") or a
// later one. "" is every kernel.
func atLeast(version string) bool {
	if version == "" {
		return true
	}
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		panic(err)
	}
	var have, want [2]int
	for text, to := range map[string]*[2]int{unix.ByteSliceToString(u.Release[:]): &have, version: &want} {
		if n, err := fmt.Sscanf(text, "%d.%d", &to[0], &to[1]); n != 2 {
			panic(fmt.Sprintf("%q is not a version: %v", text, err))
		}
	}
	return have[0] > want[0] || have[0] == want[0] && have[1] >= want[1]
}
