package compile

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"

	"github.com/hostarmor/hostarmor/hostpolicy"
	"github.com/hostarmor/hostarmor/lsm"
)

// digestOf is SHA-256 over a canonical encoding: numbers as 64 bits (rows of
// byte automata as 32) little endian, strings and lists behind their length,
// fields in the order of their declaration.
func digestOf(rs *lsm.Ruleset) [32]byte {
	e := encoder{hash: sha256.New()}
	each(&e, rs.Rules, e.rule)
	each(&e, rs.Facts, func(f *lsm.RuleFacts) {
		e.number(uint64(f.Policy), uint64(f.From), uint64(f.ExceptFrom), uint64(f.Within))
	})
	each(&e, rs.Policies, func(p *lsm.PolicyRow) {
		e.number(uint64(p.Place), p.Users)
		for _, a := range p.Otherwise {
			e.number(uint64(a))
		}
		e.number(bit(p.Dangerous), bit(p.Self))
	})
	each(&e, rs.Places, e.place)
	each(&e, rs.Users.IDs, e.user)
	each(&e, rs.Users.Logins, e.user)
	each(&e, rs.Users.Classes, func(bits *uint64) { e.number(*bits) })
	for _, sets := range [][][]uint32{rs.Programs, rs.Scopes} {
		each(&e, sets, func(set *[]uint32) { numbers(&e, *set) })
	}
	e.number(uint64(rs.Start))
	each(&e, rs.States, func(s *lsm.StateRow) {
		e.number(uint64(s.Label), uint64(s.Below), uint64(s.Default), uint64(s.Glob))
	})
	each(&e, rs.Edges, func(edge *lsm.Edge) {
		e.number(uint64(edge.From), uint64(edge.To))
		e.text(edge.Name)
	})
	each(&e, rs.Globs, func(g *lsm.GlobRow) {
		for _, next := range g.Next { // the bulk of many sets
			e.buf = binary.LittleEndian.AppendUint32(e.buf, next)
		}
		e.number(uint64(g.End))
	})
	each(&e, rs.Labels, func(l *lsm.LabelRow) {
		e.number(uint64(l.Program), uint64(l.Scope), uint64(l.Beneath), uint64(l.Held), uint64(l.Owned), bit(l.Owner), bit(l.Marked))
		numbers(&e, l.Rules)
		numbers(&e, l.Called)
	})
	each(&e, rs.Applets, func(a *lsm.AppletRow) {
		e.number(uint64(a.Label), uint64(a.To))
		e.text(a.Name)
	})
	each(&e, rs.Roles, func(r *lsm.RoleRow) {
		e.number(uint64(r.Key.Workload), uint64(r.Key.User), uint64(r.Key.Program), uint64(r.Role), uint64(r.Base))
		e.verdict(&r.Default)
		e.cells(r.Network, r.Capability, r.System)
		numbers(&e, r.Sockets)
	})
	each(&e, rs.Verdicts, func(v *lsm.VerdictRow) {
		e.number(uint64(v.Role), uint64(v.Label))
		e.verdict(&v.Verdict)
	})
	each(&e, rs.Acts, func(a *lsm.ActRow) {
		e.number(uint64(a.Role), uint64(a.Act))
		e.cells(a.Cell)
	})
	each(&e, rs.Traces, func(t *lsm.TraceRow) {
		e.number(uint64(t.Role), uint64(t.Program))
		e.cells(t.Cell)
	})
	e.network(&rs.Network)
	return e.sum()
}

// each writes a list behind its length.
func each[T any](e *encoder, list []T, write func(*T)) {
	e.number(uint64(len(list)))
	for i := range list {
		write(&list[i])
	}
}

func numbers[T ~uint8 | ~uint16 | ~uint32 | ~uint64](e *encoder, list []T) {
	e.number(uint64(len(list)))
	for _, v := range list {
		e.number(uint64(v))
	}
}

func bit(b bool) uint64 {
	if b {
		return 1
	}
	return 0
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

func (e *encoder) globs(list []hostpolicy.Glob) {
	each(e, list, func(g *hostpolicy.Glob) { e.text(g.String()) })
}

func (e *encoder) labelMatches(list []hostpolicy.LabelMatch) {
	each(e, list, func(m *hostpolicy.LabelMatch) {
		e.text(m.Key)
		e.globs(m.Values)
	})
}

func (e *encoder) place(p *lsm.Place) {
	e.number(bit(p.Host), bit(p.Everything), bit(p.Container != nil))
	if c := p.Container; c != nil {
		e.globs(c.Name)
		e.globs(c.Image)
		e.globs(c.Namespace)
		e.labelMatches(c.Labels)
		e.labelMatches(c.ExceptLabels)
	}
	e.globs(p.Unit)
}

func (e *encoder) user(u *lsm.UserRow) { e.number(uint64(u.First), u.Bits) }

func (e *encoder) network(n *lsm.Network) {
	numbers(e, n.Rules)
	for _, set := range []lsm.Bits{n.Block, n.Audit, n.Allow, n.Dangerous, n.Named, n.Ported} {
		numbers(e, set)
	}
	for _, list := range [][]lsm.Bits{n.Operations, n.Protocols} {
		each(e, list, func(set *lsm.Bits) { numbers(e, *set) })
	}
	each(e, n.Ports, func(p *lsm.PortRow) {
		e.number(uint64(p.First))
		numbers(e, p.Rules)
	})
	for _, a := range []*lsm.Addresses{&n.Remote, &n.Local} {
		numbers(e, a.Any)
		each(e, a.Prefixes, func(p *lsm.PrefixRow) {
			e.text(p.Prefix.String())
			numbers(e, p.Rules)
		})
		each(e, a.Domains, func(d *lsm.DomainRow) {
			e.text(d.Name)
			numbers(e, d.Rules)
		})
	}
}

func (e *encoder) position(p hostpolicy.Position) {
	e.text(p.File)
	e.number(uint64(p.Line), uint64(p.Column))
}

func (e *encoder) rule(r *lsm.Rule) {
	e.text(r.Policy)
	e.text(r.Name)
	e.number(uint64(r.Class), uint64(r.Action), uint64(r.Access), bit(r.OwnerOnly)|bit(r.Limited)<<1, uint64(r.Severity))
	e.texts(r.Tags)
	e.text(r.Message)
	e.position(r.Position)
	e.texts(r.Args)
	numbers(e, r.Acts)
}

func (e *encoder) verdict(v *lsm.Verdict) { e.cells(v[:]...) }

func (e *encoder) cells(cells ...lsm.Cell) {
	for _, c := range cells {
		e.number(uint64(c.Action), uint64(c.Rule), bit(c.Otherwise)|bit(c.Dangerous)<<1)
	}
}
