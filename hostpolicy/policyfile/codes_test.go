package policyfile

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestCodes holds the explanations to the constants of the two packages, and
// those to what their code reports.
func TestCodes(t *testing.T) {
	declared := make(map[string]string) // constant -> code
	uses := make(map[string]int)
	code := regexp.MustCompile(`^"HA\d+"$`)
	for _, dir := range []string{".", "../canonical"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatal(files, err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(parsed, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.ValueSpec:
					if len(n.Names) == 1 && n.Names[0].Name == "Codes" {
						return false // explaining a code is not using it
					}
					if len(n.Values) == 1 && len(n.Names) == 1 {
						if lit, ok := n.Values[0].(*ast.BasicLit); ok && code.MatchString(lit.Value) {
							text, _ := strconv.Unquote(lit.Value)
							declared[n.Names[0].Name] = text
							uses[n.Names[0].Name]-- // the declaration itself is seen below
						}
					}
				case *ast.Ident:
					uses[n.Name]++
				}
				return true
			})
		}
	}
	if len(declared) < 50 {
		t.Fatalf("found %d codes", len(declared))
	}
	seen := make(map[string]string)
	for name, code := range declared {
		if other := seen[code]; other != "" {
			t.Errorf("%s and %s are both %s", name, other, code)
		}
		seen[code] = name
		if uses[name] == 0 {
			t.Errorf("%s (%s) is never reported", name, code)
		}
		if _, ok := Codes[code]; !ok {
			t.Errorf("%s (%s) is not explained", name, code)
		}
	}
	for code, c := range Codes {
		if seen[code] == "" {
			t.Errorf("%s is explained and not reported", code)
		}
		if c.Title == "" || len(c.Why) < 15 || c.Fix == "" {
			t.Errorf("%s: %+v explains too little", code, c)
		}
		if strings.ContainsAny(c.Title, ".\n") || strings.ContainsAny(c.Why+c.Fix, "\n") {
			t.Errorf("%s: the title is one phrase, and nothing holds line ends", code)
		}
		if code == "HA007" || code == "HA010" {
			t.Errorf("%s was used for another problem before", code)
		}
	}
}
