package policyfile

import (
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/BurntSushi/toml"
)

// parse reads the text as TOML, with the place of every key and value. It
// returns nil after reporting why it cannot.
func (s *source) parse(content []byte) *node {
	if !s.checkText(content) {
		return nil
	}
	text := string(content)
	if rest, ok := strings.CutPrefix(text, "\ufeff"); ok {
		// Blanked rather than cut, so that offsets stay those of the file.
		text = "   " + rest
	}
	root, complete, deep := scan(text)
	// An incomplete scan proves nothing about the depth of what follows.
	if !complete && deep < 0 && strings.Count(text, "[")+strings.Count(text, "{") > 100_000 {
		deep = 0
	}
	if deep >= 0 {
		s.err(codeTooDeep, deep, "", fmt.Sprintf("nested more than %d levels deep", maxDepth), "")
		return nil
	}
	values, err := decode(text)
	if err != nil {
		s.syntaxError(text, err)
		return nil
	}
	root.fill(values)
	return root
}

// decode turns a panic of the decoder into an error: the daemon must survive
// whatever stands in a file.
func decode(text string) (values map[string]any, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the TOML decoder failed: %v", r)
		}
	}()
	_, err = toml.Decode(text, &values)
	return values, err
}

func (s *source) syntaxError(text string, err error) {
	offset, message := 0, err.Error()
	if pe, ok := errors.AsType[toml.ParseError](err); ok {
		// Line and column of the decoder are one off at the end of a line.
		offset = min(max(pe.Position.Start, 0), len(text))
		message = strings.TrimSuffix(pe.Message, ".")
		if first := []rune(message); len(first) > 1 && unicode.IsUpper(first[0]) && unicode.IsLower(first[1]) {
			message = string(unicode.ToLower(first[0])) + string(first[1:])
		}
	}
	fix := ""
	if strings.Contains(message, "already been defined") {
		fix = "give it another name or merge the two"
	}
	s.err(codeSyntax, offset, "", message, fix)
}
