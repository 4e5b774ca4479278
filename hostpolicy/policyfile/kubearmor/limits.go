package kubearmor

import (
	"fmt"

	"github.com/goccy/go-yaml/token"
)

// The library's parser recurses once a level and takes time with the square of
// what one collection holds. A policy stays far below these limits.
const (
	maxDepth     = 32
	maxKeys      = 1000  // of one mapping
	maxItems     = 20000 // of one list
	maxFlowItems = 2000  // of one list or mapping in brackets
	maxTokens    = 300000
	maxAdjacent  = 8 // scalars with nothing between them, which is an error anyway
)

// level is a collection that is open where the scan is.
type level struct {
	column int
	keys   bool
	flow   bool
	count  int
}

// admit looks at the tokens before the parser does. It refuses what policies
// do not need and what would cost the parser too much.
func (l *loader) admit(tokens token.Tokens) bool {
	var open []level
	before, ok := len(l.problems), true
	adjacent := 0
	tooMuch := func(tk *token.Token, what string) bool {
		l.err(codeTooLarge, l.place(tk), "", what, "split the policy, or write it more plainly")
		return false
	}
	if len(tokens) > maxTokens {
		return tooMuch(tokens[maxTokens], fmt.Sprintf("the file has more than %d words and signs", maxTokens))
	}
	for i, tk := range tokens {
		if feature, fix := refused(tk); feature != "" {
			l.err(codeFeature, l.place(tk), "", feature, fix)
			ok = false
			if len(l.problems)-before > 20 {
				return false
			}
			continue
		}
		flow := len(open) > 0 && open[len(open)-1].flow
		adjacent++
		switch tk.Type {
		case token.DocumentHeaderType, token.DocumentEndType:
			open, adjacent = open[:0], 0
		case token.MappingStartType, token.SequenceStartType:
			open, adjacent = append(open, level{flow: true}), 0
		case token.MappingEndType, token.SequenceEndType:
			adjacent = 0
			if flow {
				open = open[:len(open)-1]
			}
		case token.CollectEntryType:
			adjacent = 0
			if flow {
				open[len(open)-1].count++
			}
		case token.SequenceEntryType:
			adjacent = 0
			if !flow {
				open = enter(open, tk.Position.Column, false)
			}
		case token.MappingValueType:
			adjacent = 0
			if !flow && i > 0 {
				open = enter(open, tokens[i-1].Position.Column, true)
			}
		case token.CommentType:
			adjacent--
		}
		if adjacent > maxAdjacent {
			return tooMuch(tk, "values follow each other with nothing between them")
		}
		if len(open) > maxDepth {
			return tooMuch(tk, fmt.Sprintf("values are nested deeper than %d levels", maxDepth))
		}
		if len(open) == 0 {
			continue
		}
		switch top := open[len(open)-1]; {
		case top.flow && top.count > maxFlowItems:
			return tooMuch(tk, fmt.Sprintf("a list in brackets has more than %d entries", maxFlowItems))
		case top.keys && top.count > maxKeys:
			return tooMuch(tk, fmt.Sprintf("a mapping has more than %d keys", maxKeys))
		case top.count > maxItems:
			return tooMuch(tk, fmt.Sprintf("a list has more than %d entries", maxItems))
		}
	}
	return ok
}

// enter counts an entry of the block collection at this column, after closing
// those further right. A list may stand at the column of the key it belongs to.
func enter(open []level, column int, keys bool) []level {
	for len(open) > 0 {
		top := open[len(open)-1]
		if top.column < column || top.column == column && (top.keys || !keys) {
			break
		}
		open = open[:len(open)-1]
	}
	if len(open) > 0 {
		if top := &open[len(open)-1]; top.column == column && top.keys == keys {
			top.count++
			return open
		}
	}
	return append(open, level{column: column, keys: keys, count: 1})
}

// refused says what is wrong with a token that policies do without.
func refused(tk *token.Token) (feature, fix string) {
	switch tk.Type {
	case token.AnchorType:
		return "an anchor (&) is not read in policies", "write the value out, or in quotes if it begins with &"
	case token.AliasType:
		return "an alias (*) is not read in policies", `write the value out, or in quotes if it begins with *, as in "*"`
	case token.TagType:
		return fmt.Sprintf("the tag %s is not read in policies", quote(tk.Value)), "leave it out, or write the value in quotes if it begins with !"
	case token.MergeKeyType:
		return "the merge key << is not read in policies", "write the fields out"
	case token.DirectiveType:
		return "a directive (%) is not read in policies", "leave it out"
	case token.MappingKeyType:
		return "a complex key (?) is not read in policies", "write KEY: VALUE, or the value in quotes if it begins with ?"
	}
	return "", ""
}
