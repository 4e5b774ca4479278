// Package lsmtest is an Enforcer in memory for the tests of everything above
// the kernel. It keeps lsm.Enforcer's promises (a failed step leaves what is in
// force whole, Close leaves it in force), can fail at a chosen step, and
// records every call. What it claims about a kernel is anchored by the same
// tests run through a real one in test/vm.
package lsmtest

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/hostarmor/hostarmor/lsm"
)

// Step names a call that can be made to fail.
type Step string

// The steps, in the order of a reload.
const (
	Probe   Step = "probe"
	Status  Step = "status"
	Adopt   Step = "adopt"
	Prepare Step = "prepare"
	Commit  Step = "commit"
	Bind    Step = "bind"
	Release Step = "release"
	Close   Step = "close"
)

// Kernel is what outlives a daemon: several Enforcers in turn may share one.
// The zero value enforces nothing and supports everything.
type Kernel struct {
	mu      sync.Mutex
	support lsm.Support
	status  lsm.Status
	rules   *lsm.Ruleset
	host    lsm.Host
	fail    map[Step]error
	calls   []Step
	denials chan lsm.Denial
	block   map[Step]chan struct{}
}

// NewKernel is a kernel that supports everything and enforces nothing.
func NewKernel() *Kernel {
	return &Kernel{
		support: lsm.Support{Backend: "bpf", Kernel: "6.12.0-test"},
		fail:    make(map[Step]error),
		block:   make(map[Step]chan struct{}),
		denials: make(chan lsm.Denial, 1024),
	}
}

// Fail makes every later call of step return err; nil heals it.
func (k *Kernel) Fail(step Step, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.fail[step] = err
}

// Hold makes every later call of step wait until the returned function is
// called, as a kernel that hangs.
func (k *Kernel) Hold(step Step) (release func()) {
	c := make(chan struct{})
	k.mu.Lock()
	defer k.mu.Unlock()
	k.block[step] = c
	return sync.OnceFunc(func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		delete(k.block, step)
		close(c)
	})
}

// Miss makes Probe report that kind cannot be enforced.
func (k *Kernel) Miss(kind lsm.Kind, reason string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.support.Missing == nil {
		k.support.Missing = make(map[lsm.Kind]string)
	}
	k.support.Missing[kind] = reason
}

// Lack makes Probe report that the backend does not know a feature.
func (k *Kernel) Lack(f lsm.Feature, reason string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.support.Lacks == nil {
		k.support.Lacks = make(map[lsm.Feature]string)
	}
	k.support.Lacks[f] = reason
}

// Calls returns what was called since the last Calls.
func (k *Kernel) Calls() []Step {
	k.mu.Lock()
	defer k.mu.Unlock()
	calls := k.calls
	k.calls = nil
	return calls
}

// InForce is the ruleset that the kernel enforces, or nil, and how.
func (k *Kernel) InForce() (*lsm.Ruleset, lsm.Status) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.rules, k.status
}

// Shrink lets go of everything but the rules of what is in force, so that a
// test can measure the daemon's memory and not the fake kernel's.
func (k *Kernel) Shrink() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.rules != nil {
		k.rules = &lsm.Ruleset{Rules: k.rules.Rules, Digest: k.rules.Digest}
	}
}

// Mounts is the mount table last bound.
func (k *Kernel) Mounts() []lsm.Mount {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.host.Mounts)
}

// Links are the hard links last bound.
func (k *Kernel) Links() []lsm.Link {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.host.Links)
}

// Deny hands a denial to the daemon and counts a hit of its rule.
func (k *Kernel) Deny(d lsm.Denial) {
	k.mu.Lock()
	if d.Generation == 0 {
		d.Generation = k.status.Generation
	}
	if int(d.Rule) < len(k.status.Hits) && d.Generation == k.status.Generation {
		k.status.Hits[d.Rule]++
	}
	k.mu.Unlock()
	select {
	case k.denials <- d:
	default:
		k.Lose(1)
	}
}

// Lose counts events that found the buffer full.
func (k *Kernel) Lose(n uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.status.Lost += n
}

// step records a call, waits where the step is held and returns its failure.
func (k *Kernel) step(s Step) error {
	k.mu.Lock()
	k.calls = append(k.calls, s)
	wait, err := k.block[s], k.fail[s]
	k.mu.Unlock()
	if wait != nil {
		<-wait
	}
	return err
}

// Enforcer is one daemon's handle on a Kernel.
type Enforcer struct {
	kernel  *Kernel
	adopted bool
	closed  bool
}

var _ lsm.Enforcer = (*Enforcer)(nil)

// New is a handle on k, as a daemon that starts gets it.
func New(k *Kernel) *Enforcer { return &Enforcer{kernel: k} }

func (e *Enforcer) Probe() (lsm.Support, error) {
	if err := e.kernel.step(Probe); err != nil {
		return lsm.Support{}, err
	}
	e.kernel.mu.Lock()
	defer e.kernel.mu.Unlock()
	return e.kernel.support, nil
}

func (e *Enforcer) Status() (lsm.Status, error) {
	if err := e.kernel.step(Status); err != nil {
		return lsm.Status{}, err
	}
	e.kernel.mu.Lock()
	defer e.kernel.mu.Unlock()
	s := e.kernel.status
	s.Hits = slices.Clone(s.Hits)
	s.Adopted = e.adopted
	return s, nil
}

func (e *Enforcer) Adopt(rs *lsm.Ruleset, host lsm.Host) (bool, error) {
	if err := e.kernel.step(Adopt); err != nil {
		return false, err
	}
	e.kernel.mu.Lock()
	defer e.kernel.mu.Unlock()
	if e.kernel.rules == nil || e.kernel.status.Digest != rs.Digest {
		return false, nil
	}
	e.adopted = true
	e.kernel.host = clone(host)
	return true, nil
}

func (e *Enforcer) Prepare(rs *lsm.Ruleset, mode lsm.Mode, host lsm.Host) (lsm.Txn, error) {
	if err := e.kernel.step(Prepare); err != nil {
		return nil, err
	}
	if e.closed {
		return nil, fmt.Errorf("prepare: the enforcer is closed")
	}
	return &txn{enforcer: e, rules: rs, mode: mode, host: clone(host)}, nil
}

// Moment is always the same: of the fake kernel no file system is ever gone.
func (e *Enforcer) Moment() lsm.Moment { return 0 }

func (e *Enforcer) Bind(host lsm.Host) error {
	if err := e.kernel.step(Bind); err != nil {
		return err
	}
	e.kernel.mu.Lock()
	defer e.kernel.mu.Unlock()
	e.kernel.host = clone(host)
	return nil
}

func clone(h lsm.Host) lsm.Host {
	return lsm.Host{Mounts: slices.Clone(h.Mounts), Links: slices.Clone(h.Links)}
}

func (e *Enforcer) Events(ctx context.Context, deliver func(lsm.Denial)) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case d := <-e.kernel.denials:
			deliver(d)
		}
	}
}

func (e *Enforcer) Release() error {
	if err := e.kernel.step(Release); err != nil {
		return err
	}
	e.kernel.mu.Lock()
	defer e.kernel.mu.Unlock()
	e.kernel.rules = nil
	e.kernel.status.Generation = 0
	e.kernel.status.Digest = [32]byte{}
	e.kernel.status.Mode = 0
	e.kernel.status.Hits = nil
	e.adopted = false
	return nil
}

func (e *Enforcer) Close() error {
	err := e.kernel.step(Close)
	e.closed = true
	return err
}

type txn struct {
	enforcer *Enforcer
	rules    *lsm.Ruleset
	mode     lsm.Mode
	host     lsm.Host
	done     bool
}

func (t *txn) Commit() error {
	if t.done {
		panic("lsmtest: a transaction was ended twice")
	}
	t.done = true
	k := t.enforcer.kernel
	if err := k.step(Commit); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.rules, k.host = t.rules, t.host
	k.status.Generation++
	k.status.Digest = t.rules.Digest
	k.status.Mode = t.mode
	k.status.Hits = make([]uint64, len(t.rules.Rules)+1)
	t.enforcer.adopted = false
	return nil
}

func (t *txn) Rollback() {
	if t.done {
		panic("lsmtest: a transaction was ended twice")
	}
	t.done = true
}
