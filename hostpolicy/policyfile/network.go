package policyfile

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/hostarmor/hostarmor/hostpolicy"
)

func (s *source) addresses(n *node, field string) ([]hostpolicy.Address, []hostpolicy.Position) {
	return values(s, s.strings(n, field), field, func(t text) (hostpolicy.Address, bool) {
		switch strings.ToLower(t.value) {
		case "*", "any", "all":
			s.err(codeAddress, t.at, field, fmt.Sprintf("%s is not an address", quote(t.value)), "leave the key out for any address")
			return hostpolicy.Address{}, false
		case "localhost":
			s.err(codeAddress, t.at, field, `"localhost" is no name of the DNS, and only such names are followed`, `write "127.0.0.0/8" and "::1"`)
			return hostpolicy.Address{}, false
		}
		a, err := hostpolicy.ParseAddress(t.value)
		if err != nil {
			s.badPattern(codeAddress, err, t, field)
			return a, false
		}
		return a, true
	})
}

const maxPort = 1<<16 - 1

func (s *source) ports(n *node, field string) ([]hostpolicy.PortRange, []hostpolicy.Position) {
	list := s.numbers(n, field, "a port, a range such as \"8000-8100\", or a list of them")
	return values(s, list, field, func(t text) (hostpolicy.PortRange, bool) {
		r, reason, fix := parsePorts(t.value)
		if reason != "" {
			s.err(codePort, t.at, field, quote(t.value)+" "+reason, fix)
			return r, false
		}
		return r, true
	})
}

// parsePorts reads "N" or "N-M", or says what is wrong with it.
func parsePorts(text string) (r hostpolicy.PortRange, reason, fix string) {
	const form = `write 443 or "8000-8100"`
	first, last, reason := bounds(text, maxPort)
	switch {
	case reason != "" && strings.ContainsAny(text, "0123456789"):
		return r, reason, form
	case reason != "":
		return r, "is not a port", "write its number; /etc/services lists those with names"
	case first > last:
		return r, "runs backwards", fmt.Sprintf(`write "%d-%d"`, last, first)
	case last == 0:
		return r, "is not a port: 0 asks the kernel for any free one", "leave ports out for any"
	case first == 0:
		return r, "begins at 0, which is not a port", fmt.Sprintf(`write "1-%d"`, last)
	}
	return hostpolicy.PortRange{First: uint16(first), Last: uint16(last)}, "", ""
}

// bounds reads "N" or "N-M" of at most limit each, or says what is wrong.
func bounds(text string, limit uint64) (first, last uint64, reason string) {
	one := func(v string) (uint64, string) {
		// ParseUint takes more than digits: signs and, elsewhere, underscores.
		if v == "" || strings.Trim(v, "0123456789") != "" {
			return 0, "is not a number or a range"
		}
		n, err := strconv.ParseUint(v, 10, 64)
		if err != nil || n > limit {
			return 0, fmt.Sprintf("is more than %d", limit)
		}
		return n, ""
	}
	from, to, isRange := strings.Cut(text, "-")
	if first, reason = one(strings.TrimSpace(from)); reason != "" || !isRange {
		return first, first, reason
	}
	last, reason = one(strings.TrimSpace(to))
	return first, last, reason
}
