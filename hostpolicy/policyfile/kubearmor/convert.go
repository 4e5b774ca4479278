package kubearmor

import (
	"fmt"
	"path"

	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/hostpolicy/policyfile/render"
)

// Converted is one policy as the text of a TOML file.
type Converted struct {
	Name string // of the policy, and of its file without the ending
	TOML []byte
}

// remark is a comment on a rule, by its class and name, or on the policy where
// rule is "".
type remark struct{ rule, text string }

// Convert writes the policies of a YAML file as TOML, one text for each, with
// comments where the meaning is not plainly the original's. The texts decide as
// the policies that Load gives with the same Posture. It is not ok where
// something could not be carried over, which the problems name; with an Error
// there is no text at all.
func Convert(name string, content []byte, o Options) (texts []Converted, problems []hostpolicy.Problem, ok bool) {
	o.AnyNode = true
	l := load(name, content, o)
	problems = l.result().Problems
	if l.failed() {
		return nil, problems, false
	}
	ok = true
	for _, p := range l.problems {
		ok = ok && !p.lost
	}
	for i := range l.policies {
		whole := &l.policies[i].policy
		notes := l.notes(&l.policies[i])
		for j, p := range render.Split(whole) {
			head := render.Note{Text: fmt.Sprintf("From %s, line %d.", path.Base(name), whole.Position.Line)}
			if j > 0 {
				head.Text += fmt.Sprintf("\nThe rules of %s whose Allow has another posture.", whole.Name)
			}
			texts = append(texts, Converted{p.Name, render.TOML(&p, append([]render.Note{head}, notes...))})
		}
	}
	return texts, problems, ok
}

// notes are the warnings about a policy and the remarks on it, as comments.
func (l *loader) notes(p *loaded) []render.Note {
	var notes []render.Note
	for _, problem := range l.problems {
		if problem.policy == p.number {
			notes = append(notes, render.Note{Rule: problem.rule, Text: fmt.Sprintf("Line %d: %s.", problem.Position.Line, problem.Message)})
		}
	}
	for _, r := range p.notes {
		notes = append(notes, render.Note{Rule: r.rule, Text: sentence(r.text)})
	}
	return notes
}

// sentence begins a text with a capital, unless it begins with a field.
func sentence(text string) string {
	if len(text) > 0 && text[0] >= 'a' && text[0] <= 'z' && len(text) > 12 && text[:12] != "nodeSelector" {
		text = string(text[0]-'a'+'A') + text[1:]
	}
	return text + "."
}
