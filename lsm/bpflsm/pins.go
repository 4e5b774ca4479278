package bpflsm

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// Layout, below hostarmor/v<ABI>/:
//
//	maps/<name>           shared by all builds of this ABI
//	<build>/live           the variables of its programs
//	<build>/programs/<name> those that rules have needed so far
//	<build>/links/<hook>
//
// Tracing links cannot change their program. An upgrade therefore attaches the
// new build beside the old one, makes it the owner, and removes the old one.

// each calls fn for every tagged field of a bpf2go struct.
func each(objects any, fn func(name string, field reflect.Value) error) error {
	v := reflect.ValueOf(objects).Elem()
	for i := range v.NumField() {
		if name := v.Type().Field(i).Tag.Get("ebpf"); name != "" {
			if err := fn(name, v.Field(i)); err != nil {
				return err
			}
		}
	}
	return nil
}

// livePin holds the variables that all programs of a build share: how many
// renames are under way. A BPF file system refuses names with a dot.
const (
	liveMap = ".bss"
	livePin = "live"
)

// load makes sure of programs: adopted from their pins, or loaded and pinned.
// The kernel verifies only what some rule needs, which takes most of the time
// of a first start. Programs that this kernel lacks are left out.
func (e *Engine) load(names []string) error {
	wanted := make(map[string]bool)
	for _, name := range names {
		if e.missing[name] || e.program(name) != nil {
			continue
		}
		p, err := ebpf.LoadPinnedProgram(filepath.Join(e.programDir(), name), nil)
		if err == nil {
			e.setProgram(name, p)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("adopt program %s: %w", name, err)
		} else {
			wanted[name] = true
		}
	}
	if len(wanted) == 0 && e.live != nil {
		return nil
	}
	spec, err := e.embedded()
	if err != nil {
		return err
	}
	maps.DeleteFunc(spec.Programs, func(name string, _ *ebpf.ProgramSpec) bool { return !wanted[name] })
	options := ebpf.CollectionOptions{Maps: ebpf.MapOptions{PinPath: e.mapDir()}, MapReplacements: make(map[string]*ebpf.Map)}
	live, pin := e.live, filepath.Join(e.buildDir(), livePin)
	if live == nil {
		if live, err = ebpf.LoadPinnedMap(pin, nil); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("adopt the variables: %w", err)
		}
	}
	if live != nil {
		options.MapReplacements[liveMap] = live
	}
	loaded, err := ebpf.NewCollectionWithOptions(spec, options)
	if err != nil {
		if live != e.live {
			live.Close()
		}
		return fmt.Errorf("load the programs: %w", err)
	}
	defer loaded.Close()
	if live == nil {
		if err := loaded.Maps[liveMap].Pin(pin); err != nil {
			return fmt.Errorf("pin the variables: %w", err)
		}
		live = loaded.DetachMap(liveMap)
	}
	if e.live == nil {
		e.live = live
		_ = each(&e.objects.engineMaps, func(name string, field reflect.Value) error {
			field.Set(reflect.ValueOf(loaded.DetachMap(name)))
			return nil
		})
	}
	for name := range wanted {
		if err := loaded.Programs[name].Pin(filepath.Join(e.programDir(), name)); err != nil {
			return fmt.Errorf("pin program %s: %w", name, err)
		}
		e.setProgram(name, loaded.DetachProgram(name))
	}
	return nil
}

// loadHooks loads the programs of hooks, by their indexes.
func (e *Engine) loadHooks(list []int) error {
	var names []string
	for _, i := range list {
		names = append(names, hooks[i].name)
	}
	return e.load(names)
}

// allMaps are the maps that this build's programs use, those of variables
// included.
func (e *Engine) allMaps() []*ebpf.Map {
	var list []*ebpf.Map
	_ = each(&e.objects.engineMaps, func(_ string, field reflect.Value) error {
		if m := field.Interface().(*ebpf.Map); m != nil {
			list = append(list, m)
		}
		return nil
	})
	return append(list, e.live)
}

func (e *Engine) allPrograms() []*ebpf.Program {
	var list []*ebpf.Program
	_ = each(&e.objects.enginePrograms, func(_ string, field reflect.Value) error {
		if p := field.Interface().(*ebpf.Program); p != nil {
			list = append(list, p)
		}
		return nil
	})
	return list
}

// program finds a program by its name in the object file, nil where it is not
// loaded.
func (e *Engine) program(name string) *ebpf.Program {
	var found *ebpf.Program
	_ = each(&e.objects.enginePrograms, func(n string, field reflect.Value) error {
		if n == name {
			found = field.Interface().(*ebpf.Program)
		}
		return nil
	})
	return found
}

func (e *Engine) setProgram(name string, p *ebpf.Program) {
	_ = each(&e.objects.enginePrograms, func(n string, field reflect.Value) error {
		if n == name {
			field.Set(reflect.ValueOf(p))
		}
		return nil
	})
}

func (e *Engine) linkPin(h *hook) string { return filepath.Join(e.linkDir(), h.name) }

// attach attaches and pins those of the hooks that are not attached yet; their
// programs are loaded.
func (e *Engine) attach(list []int) error {
	for _, i := range list {
		h := &hooks[i]
		if e.links[h.name] != nil || e.program(h.name) == nil {
			continue
		}
		if l, err := link.LoadPinnedLink(e.linkPin(h), nil); err == nil {
			e.links[h.name] = l
			continue
		} else if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("adopt hook %s: %w", h.name, err)
		}
		l, err := e.attachOne(h)
		if err != nil {
			return fmt.Errorf("attach %s: %w", h.name, err)
		}
		if err := l.Pin(e.linkPin(h)); err != nil {
			l.Close()
			return fmt.Errorf("pin hook %s: %w", h.name, err)
		}
		e.links[h.name] = l
	}
	return nil
}

// attachOne waits, for a while, for the kernel to finish an earlier detachment
// of the same program: it happens some time after the last handle is closed.
func (e *Engine) attachOne(h *hook) (l link.Link, err error) {
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if h.target == "" {
			l, err = link.AttachLSM(link.LSMOptions{Program: e.program(h.name)})
		} else {
			l, err = link.AttachTracing(link.TracingOptions{Program: e.program(h.name)})
		}
		if !errors.Is(err, unix.EBUSY) || time.Now().After(deadline) {
			return l, err
		}
	}
}

// keepHooks detaches all but these, what an earlier daemon left included.
func (e *Engine) keepHooks(list []int) {
	for i := range hooks {
		h := &hooks[i]
		if slices.Contains(list, i) {
			continue
		}
		// The pin first: a pin without a handle would stay for good. If it
		// cannot be removed, the hook stays too, and judges by no rule.
		if err := os.Remove(e.linkPin(h)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if l := e.links[h.name]; l != nil {
			l.Close()
			delete(e.links, h.name)
		}
	}
}

// retire removes other builds of this ABI and pins of other ABIs. Called when
// this build decides.
func (e *Engine) retire() error {
	for dir, keep := range map[string]map[string]bool{
		e.root(): {filepath.Base(e.abi()): true},
		e.abi():  {"maps": true, e.build: true},
	} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return fmt.Errorf("look for older pins: %w", err)
		}
		for _, entry := range entries {
			if keep[entry.Name()] {
				continue
			}
			if err := os.RemoveAll(filepath.Join(dir, entry.Name())); err != nil {
				return fmt.Errorf("remove older pins: %w", err)
			}
		}
	}
	return nil
}
