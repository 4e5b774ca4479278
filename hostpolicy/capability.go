package hostpolicy

import (
	"fmt"
	"strings"
)

// Cap is a capability by its number in the kernel, which never changes.
type Cap uint8

// In the order of include/uapi/linux/capability.h.
var capNames = [...]string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID", "CAP_SETUID",
	"CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_IPC_LOCK",
	"CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE", "CAP_SYS_PACCT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT",
	"CAP_SYS_NICE", "CAP_SYS_RESOURCE", "CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL",
	"CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND", "CAP_AUDIT_READ", "CAP_PERFMON",
	"CAP_BPF", "CAP_CHECKPOINT_RESTORE",
}

// Caps is the number of capabilities.
const Caps = len(capNames)

func (c Cap) String() string {
	if int(c) >= Caps {
		return fmt.Sprintf("Cap(%d)", uint8(c))
	}
	return capNames[c]
}

// ParseCap finds a capability by its name as the kernel's documentation writes
// it, "CAP_NET_RAW".
func ParseCap(name string) (Cap, bool) {
	for c, n := range capNames {
		if n == name {
			return Cap(c), true
		}
	}
	return 0, false
}

// ParseCapLoosely also takes the name in any case and without CAP_.
func ParseCapLoosely(name string) (Cap, bool) {
	name = strings.ToUpper(name)
	return ParseCap("CAP_" + strings.TrimPrefix(name, "CAP_"))
}
