package compile

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"

	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/lsm"
)

// digestOf is SHA-256 over a canonical encoding: numbers as 64 bits little
// endian, strings and lists behind their length, fields in the order of their
// declaration.
func digestOf(rs *lsm.Ruleset) [32]byte {
	e := encoder{hash: sha256.New()}
	e.number(uint64(len(rs.Rules)))
	for i := range rs.Rules {
		e.rule(&rs.Rules[i])
	}
	e.number(uint64(rs.Start))
	e.number(uint64(len(rs.States)))
	for _, s := range rs.States {
		e.number(uint64(s.Label), uint64(s.Below), uint64(s.Default), uint64(s.Glob))
	}
	e.number(uint64(len(rs.Edges)))
	for _, edge := range rs.Edges {
		e.number(uint64(edge.From), uint64(edge.To))
		e.text(edge.Name)
	}
	e.number(uint64(len(rs.Globs)))
	for i := range rs.Globs {
		for _, next := range rs.Globs[i].Next {
			e.number(uint64(next))
		}
		e.number(uint64(rs.Globs[i].End))
	}
	e.number(uint64(len(rs.Labels)))
	for _, l := range rs.Labels {
		e.number(uint64(l.Program))
	}
	e.number(uint64(len(rs.Roles)))
	for i := range rs.Roles {
		r := &rs.Roles[i]
		e.number(uint64(r.Key.Workload), uint64(r.Key.User), uint64(r.Key.Program), uint64(r.Role), uint64(r.Base))
		e.verdict(&r.Default)
	}
	e.number(uint64(len(rs.Verdicts)))
	for i := range rs.Verdicts {
		e.number(uint64(rs.Verdicts[i].Role), uint64(rs.Verdicts[i].Label))
		e.verdict(&rs.Verdicts[i].Verdict)
	}
	return e.sum()
}

type encoder struct {
	hash hash.Hash
	buf  []byte
}

func (e *encoder) flush() {
	e.hash.Write(e.buf)
	e.buf = e.buf[:0]
}

func (e *encoder) sum() (sum [32]byte) {
	e.flush()
	e.hash.Sum(sum[:0])
	return sum
}

func (e *encoder) number(values ...uint64) {
	for _, v := range values {
		e.buf = binary.LittleEndian.AppendUint64(e.buf, v)
	}
	if len(e.buf) > 1<<16 {
		e.flush()
	}
}

func (e *encoder) text(s string) {
	e.number(uint64(len(s)))
	e.buf = append(e.buf, s...)
}

func (e *encoder) texts(list []string) {
	e.number(uint64(len(list)))
	for _, s := range list {
		e.text(s)
	}
}

func (e *encoder) patterns(list []hostpolicy.Pattern) {
	e.number(uint64(len(list)))
	for _, p := range list {
		e.text(p.String())
	}
}

func (e *encoder) position(p hostpolicy.Position) {
	e.text(p.File)
	e.number(uint64(p.Line), uint64(p.Column))
}

func (e *encoder) positions(list []hostpolicy.Position) {
	e.number(uint64(len(list)))
	for _, p := range list {
		e.position(p)
	}
}

func (e *encoder) rule(r *hostpolicy.Rule) {
	e.text(r.Policy)
	e.number(uint64(r.Class))
	e.text(r.Name)
	e.position(r.Position)
	e.number(uint64(r.Action), uint64(r.Severity))
	e.texts(r.Tags)
	e.text(r.Message)
	e.patterns(r.Path)
	e.patterns(r.Except)
	e.number(uint64(r.Access))
	e.patterns(r.From)
	e.patterns(r.ExceptFrom)
	e.positions(r.Places.Path)
	e.positions(r.Places.Except)
	e.positions(r.Places.From)
	e.positions(r.Places.ExceptFrom)
}

func (e *encoder) verdict(v *lsm.Verdict) {
	for _, c := range v {
		var flags uint64
		if c.Otherwise {
			flags |= 1
		}
		if c.Dangerous {
			flags |= 2
		}
		e.number(uint64(c.Action), uint64(c.Rule), flags)
	}
}
