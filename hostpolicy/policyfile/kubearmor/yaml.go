package kubearmor

import (
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

type kind uint8

const (
	null kind = iota
	scalar
	boolean
	integer
	mapping
	sequence
)

// node is a value of the document, without all that YAML has and a policy does
// not need.
type node struct {
	at     pos
	kind   kind
	text   string // of a scalar, boolean or integer, as written
	quoted bool
	fields []field // of a mapping, in the order written
	items  []*node // of a sequence
}

type field struct {
	name  string
	at    pos
	value *node
}

func (n *node) String() string {
	switch n.kind {
	case null:
		return "nothing"
	case boolean:
		return "a boolean"
	case integer:
		return "an integer"
	case mapping:
		return "a mapping"
	case sequence:
		return "a list"
	}
	return "a string"
}

// plain reports whether the node is text of one kind or another.
func (n *node) plain() bool { return n.kind == scalar || n.kind == boolean || n.kind == integer }

// parse reads the documents that are not empty.
func (l *loader) parse(text string) (documents []*node, ok bool) {
	// The library's parser is not ours to trust with a root daemon's life.
	defer func() {
		if r := recover(); r != nil {
			l.err(codeSyntax, pos{1, 1}, "", fmt.Sprintf("the YAML library gave up on this file (%.100v)", r), "write the file more plainly")
			documents, ok = nil, false
		}
	}()
	tokens := lexer.Tokenize(text)
	if tk := tokens.InvalidToken(); tk != nil {
		l.syntax(tk, tk.Error)
		return nil, false
	}
	if !l.admit(tokens) {
		return nil, false
	}
	ok = true
	for _, part := range split(tokens) {
		f, err := parser.Parse(part, 0, parser.AllowDuplicateMapKey())
		if err != nil {
			l.syntaxError(err)
			return nil, false
		}
		for _, d := range f.Docs {
			if d.Body == nil {
				continue
			}
			root := l.node(d.Body, l.place(d.Body.GetToken()))
			ok = ok && root != nil
			if root != nil && root.kind != null {
				documents = append(documents, root)
			}
		}
	}
	return documents, ok
}

// split cuts the tokens at the document marks, because the parser's time grows
// with the square of the number of documents.
func split(tokens token.Tokens) []token.Tokens {
	var parts []token.Tokens
	var part token.Tokens
	cut := func() {
		if len(part) > 0 {
			part[0].Prev, part[len(part)-1].Next = nil, nil
			parts = append(parts, part)
			part = nil
		}
	}
	for _, tk := range tokens {
		switch tk.Type {
		case token.DocumentHeaderType, token.DocumentEndType:
			cut()
		case token.CommentType:
		default:
			part = append(part, tk)
		}
	}
	cut()
	for _, p := range parts {
		for i := range p {
			if i > 0 {
				p[i].Prev, p[i-1].Next = p[i-1], p[i]
			}
		}
	}
	return parts
}

// place is where a token begins. The library counts columns in characters.
func (l *loader) place(tk *token.Token) pos {
	if tk == nil || tk.Position == nil {
		return pos{1, 1}
	}
	at := pos{min(max(tk.Position.Line, 1), len(l.lines)), max(tk.Position.Column, 1)}
	line, n, column := l.lines[at.line-1], 1, 0
	for i := range line {
		if n == at.column {
			column = i
			break
		}
		column = len(line)
		n++
	}
	// It does not count every tab.
	if word, _, _ := strings.Cut(tk.Value, " "); tk.Type == token.StringType && !strings.HasPrefix(line[column:], word) {
		if i := strings.Index(line, word); i >= 0 {
			column = i
		}
	}
	return pos{at.line, column + 1}
}

func (l *loader) syntax(tk *token.Token, message string) {
	fix := ""
	switch {
	case strings.Contains(message, "tab character"), strings.Contains(message, "'\t'"):
		message, fix = "a tab is used for indentation", "YAML takes spaces only"
	case strings.Contains(message, "cannot start any token"):
		fix = "put the value in quotes"
	}
	l.err(codeSyntax, l.place(tk), "", message, fix)
}

func (l *loader) syntaxError(err error) {
	type located interface {
		GetToken() *token.Token
		GetMessage() string
	}
	if e, ok := err.(located); ok {
		l.syntax(e.GetToken(), e.GetMessage())
		return
	}
	message, _, _ := strings.Cut(err.Error(), "\n")
	l.err(codeSyntax, pos{1, 1}, "", message, "")
}

// node turns a syntax tree into plain values. A nil node was reported. At is
// the place where nothing is written.
func (l *loader) node(n ast.Node, at pos) *node {
	here := l.place(n.GetToken())
	if literal, ok := n.(*ast.LiteralNode); ok && strings.Contains(literal.Value.GetToken().Origin, "\t") || !faithful(n.GetToken()) {
		l.err(codeFeature, here, "", fmt.Sprintf("%s cannot be read for certain: there is a tab or another unusual character in it", quote(n.GetToken().Value)), "put the value in double quotes, with \\t for a tab")
		return nil
	}
	text := func(k kind) *node { return &node{at: here, kind: k, text: n.GetToken().Value} }
	switch n := n.(type) {
	case *ast.NullNode:
		return &node{at: at, kind: null}
	case *ast.BoolNode:
		return text(boolean)
	case *ast.IntegerNode:
		return text(integer)
	case *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return text(scalar)
	case *ast.StringNode:
		return &node{at: here, kind: scalar, text: n.Value, quoted: n.Token.Type != token.StringType}
	case *ast.LiteralNode:
		return &node{at: here, kind: scalar, text: n.Value.Value, quoted: true}
	case *ast.SequenceNode:
		out := &node{at: here, kind: sequence}
		ok := true
		for _, v := range n.Values {
			item := l.node(v, l.place(v.GetToken()))
			ok = ok && item != nil
			out.items = append(out.items, item)
		}
		if !ok {
			return nil
		}
		return out
	case *ast.MappingValueNode:
		return l.mapping([]*ast.MappingValueNode{n}, here)
	case *ast.MappingNode:
		return l.mapping(n.Values, here)
	}
	l.err(codeFeature, here, "", fmt.Sprintf("YAML's %s is not read in policies", strings.ToLower(n.Type().String())), "write the value out")
	return nil
}

// faithful reports whether a token's value is what is written. The library
// loses a tab inside a word, for instance, and a policy that names another file
// than its author wrote would be a gap that nobody sees.
func faithful(tk *token.Token) bool {
	written := strings.TrimSpace(tk.Origin)
	switch tk.Type {
	case token.StringType:
	case token.SingleQuoteType:
		if len(written) < 2 || written[0] != '\'' || !strings.HasSuffix(written, "'") {
			return false
		}
		written = strings.ReplaceAll(written[1:len(written)-1], "''", "'")
		if !strings.Contains(written, "\n") {
			return written == tk.Value
		}
	case token.DoubleQuoteType:
		if len(written) < 2 || written[0] != '"' || !strings.HasSuffix(written, `"`) {
			return false
		}
		written = written[1 : len(written)-1]
		if strings.Contains(written, `\`) {
			return true
		}
		if !strings.Contains(written, "\n") {
			return written == tk.Value
		}
	default:
		return true
	}
	return slices.Equal(strings.Fields(written), strings.Fields(tk.Value))
}

func (l *loader) mapping(values []*ast.MappingValueNode, at pos) *node {
	out := &node{at: at, kind: mapping}
	ok := true
	first := make(map[string]pos)
	for i, v := range values {
		key, isString := v.Key.(*ast.StringNode)
		if !isString {
			l.err(codeFeature, l.place(v.Key.GetToken()), "", fmt.Sprintf("the key %s is not a string", quote(v.Key.GetToken().Value)), "put it in quotes if it is meant")
			ok = false
			continue
		}
		here := l.place(key.Token)
		if !faithful(key.Token) {
			l.err(codeFeature, here, "", fmt.Sprintf("the key %s cannot be read for certain: there is a tab or another unusual character in it", quote(key.Value)), "write it in double quotes")
			ok = false
			continue
		}
		if i == 0 {
			out.at = here
		}
		if other, again := first[key.Value]; again {
			l.err(codeDuplicate, here, "", fmt.Sprintf("the key %s stands here again, after line %d", quote(key.Value), other.line), "keep one of both")
			ok = false
			continue
		}
		first[key.Value] = here
		value := l.node(v.Value, here)
		ok = ok && value != nil
		out.fields = append(out.fields, field{key.Value, here, value})
	}
	if !ok {
		return nil
	}
	return out
}
