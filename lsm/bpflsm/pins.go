package bpflsm

import (
	"errors"
	"fmt"
	"io/fs"
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
//	<build>/programs/<name>
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

// assign moves what was loaded into the struct. A program of a hook that this
// kernel lacks stays nil.
func assign(objects *engineObjects, loaded *ebpf.Collection) {
	defer loaded.Close()
	_ = each(&objects.engineMaps, func(name string, field reflect.Value) error {
		field.Set(reflect.ValueOf(loaded.DetachMap(name)))
		return nil
	})
	_ = each(&objects.enginePrograms, func(name string, field reflect.Value) error {
		field.Set(reflect.ValueOf(loaded.DetachProgram(name)))
		return nil
	})
	_ = each(&objects.engineVariables, func(name string, field reflect.Value) error {
		field.Set(reflect.ValueOf(loaded.Variables[name]))
		return nil
	})
}

// adoptPrograms opens this build's pinned programs and maps, but for the
// programs that this kernel lacks. The error wraps fs.ErrNotExist where they
// are not all there.
func (e *Engine) adoptPrograms(objects *engineObjects, missing map[string]bool) (err error) {
	defer func() {
		if err != nil {
			objects.Close()
			*objects = engineObjects{}
		}
	}()
	err = each(&objects.engineMaps, func(name string, field reflect.Value) error {
		m, err := ebpf.LoadPinnedMap(filepath.Join(e.mapDir(), name), nil)
		if err != nil {
			return fmt.Errorf("adopt map %s: %w", name, err)
		}
		field.Set(reflect.ValueOf(m))
		return nil
	})
	if err != nil {
		return err
	}
	return each(&objects.enginePrograms, func(name string, field reflect.Value) error {
		if missing[name] {
			return nil
		}
		p, err := ebpf.LoadPinnedProgram(filepath.Join(e.buildDir(), "programs", name), nil)
		if err != nil {
			return fmt.Errorf("adopt program %s: %w", name, err)
		}
		field.Set(reflect.ValueOf(p))
		return nil
	})
}

// pinPrograms pins into a temporary directory and renames it, so that a crash
// leaves all programs or none.
func (e *Engine) pinPrograms() error {
	dir := filepath.Join(e.buildDir(), "programs")
	if err := os.MkdirAll(filepath.Join(e.buildDir(), "links"), 0o700); err != nil {
		return fmt.Errorf("make the pin directory: %w", err)
	}
	temporary := dir + "-new" // BPF file systems refuse dots
	for _, old := range []string{temporary, dir} {
		if err := os.RemoveAll(old); err != nil {
			return fmt.Errorf("remove old pins: %w", err)
		}
	}
	if err := os.Mkdir(temporary, 0o700); err != nil {
		return fmt.Errorf("make the pin directory: %w", err)
	}
	err := each(&e.objects.enginePrograms, func(name string, field reflect.Value) error {
		p := field.Interface().(*ebpf.Program)
		if p == nil {
			return nil
		}
		if err := p.Pin(filepath.Join(temporary, name)); err != nil {
			return fmt.Errorf("pin program %s: %w", name, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := os.Rename(temporary, dir); err != nil {
		return fmt.Errorf("publish the pinned programs: %w", err)
	}
	return nil
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
	return list
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

// program finds a hook's program by its name in the object file.
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

func (e *Engine) linkPin(h *hook) string { return filepath.Join(e.buildDir(), "links", h.name) }

// attach attaches and pins those of the hooks that are not attached yet.
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
