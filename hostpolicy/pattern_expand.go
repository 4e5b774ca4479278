package hostpolicy

// expand replaces braces by the alternatives, in the order written. It reports
// false where that would be too many. The text has passed checkSyntax.
func expand(text string) ([]string, bool) {
	open, commas, end := firstBrace(text)
	if open < 0 {
		return []string{text}, true
	}
	tails, ok := expand(text[end+1:])
	if !ok {
		return nil, false
	}
	var out []string
	size := 0
	from := open + 1
	for _, to := range append(commas, end) {
		heads, ok := expand(text[from:to])
		if !ok {
			return nil, false
		}
		for _, head := range heads {
			for _, tail := range tails {
				alt := text[:open] + head + tail
				size += len(alt)
				if len(out) == maxAlternatives || size > maxExpandedBytes {
					return nil, false
				}
				out = append(out, alt)
			}
		}
		from = to + 1
	}
	return out, true
}

// firstBrace finds the first outermost brace, its commas and its end, or -1.
func firstBrace(text string) (open int, commas []int, end int) {
	open = -1
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '[':
			_, n, _, _ := parseSet(text[i:])
			i += n - 1
		case '{':
			if depth++; depth == 1 {
				open = i
			}
		case ',':
			if depth == 1 {
				commas = append(commas, i)
			}
		case '}':
			if depth--; depth == 0 {
				return open, commas, i
			}
		}
	}
	return -1, nil, -1
}
