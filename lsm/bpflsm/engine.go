// Package bpflsm enforces rulesets by BPF-LSM programs. What is in force lives
// in the kernel, pinned below hostarmor/v<ABI>/ in the BPF file system, and
// outlives the daemon; an Engine is only a handle on it.
package bpflsm

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"github.com/hostarmor/hostarmor/lsm"
)

// Config says where the kernel's interfaces are. The zero value is the usual
// places.
type Config struct {
	BPFFS   string // default /sys/fs/bpf
	LSMList string // default /sys/kernel/security/lsm
	MountNS string // default /proc/1/ns/mnt, the namespace whose names rules use
	// Progress is called between the steps of what may take long, where many
	// units are named or the machine is slow.
	Progress func()
}

// Engine is an lsm.Enforcer.
type Engine struct {
	config Config
	build  string // digest of the embedded programs
	owner  uint32

	objects *engineObjects // nil until something is loaded or adopted
	maps    *engineMaps
	live    *ebpf.Map            // the variables that this build's programs share
	missing map[string]bool      // programs that this kernel cannot load
	links   map[string]link.Link // by hook name

	generation uint64
	ruleset    *lsm.Ruleset // what the generation holds, if this Engine knows it
	mode       lsm.Mode
	names      atomic.Pointer[names]
	adopted    bool
}

// New returns a handle; nothing is touched yet.
func New(config Config) *Engine {
	if config.BPFFS == "" {
		config.BPFFS = "/sys/fs/bpf"
	}
	if config.LSMList == "" {
		config.LSMList = "/sys/kernel/security/lsm"
	}
	if config.MountNS == "" {
		config.MountNS = "/proc/1/ns/mnt"
	}
	if config.Progress == nil {
		config.Progress = func() {}
	}
	sum := sha256.Sum256(_EngineBytes)
	owner := binary.LittleEndian.Uint32(sum[:])
	if owner == 0 {
		owner = 1 // 0 is nobody
	}
	return &Engine{config: config, build: hex.EncodeToString(sum[:8]), owner: owner, links: map[string]link.Link{}}
}

func (e *Engine) root() string { return filepath.Join(e.config.BPFFS, "hostarmor") }
func (e *Engine) abi() string  { return filepath.Join(e.root(), fmt.Sprintf("v%d", abiVersion)) }
func (e *Engine) mapDir() string {
	return filepath.Join(e.abi(), "maps")
}
func (e *Engine) buildDir() string   { return filepath.Join(e.abi(), e.build) }
func (e *Engine) programDir() string { return filepath.Join(e.buildDir(), "programs") }
func (e *Engine) linkDir() string    { return filepath.Join(e.buildDir(), "links") }

// open adopts the pinned maps, or makes and pins fresh ones, and loads what is
// needed before any hook. It does not attach anything.
func (e *Engine) open() error {
	if e.objects != nil {
		return nil
	}
	for _, dir := range []string{e.mapDir(), e.programDir(), e.linkDir()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make the pin directory: %w", err)
		}
	}
	missing, err := without()
	if err != nil {
		return err
	}
	e.missing, e.objects = missing, new(engineObjects)
	if err := e.load([]string{"advance"}); err != nil {
		e.objects.Close()
		e.live.Close()
		e.objects, e.live = nil, nil
		return err
	}
	e.maps = &e.objects.engineMaps
	return e.hello()
}

// embedded reads the programs and maps as this kernel wants them. They are not
// kept: they take more memory than the daemon does otherwise.
func (e *Engine) embedded() (*ebpf.CollectionSpec, error) {
	spec, err := loadEngine()
	if err != nil {
		return nil, fmt.Errorf("read the embedded programs: %w", err)
	}
	if err := spec.Variables["owner"].Set(e.owner); err != nil {
		return nil, fmt.Errorf("set the owner: %w", err)
	}
	if err := fit(spec); err != nil {
		return nil, err
	}
	for name, m := range spec.Maps {
		if !internalMap(name) {
			m.Pinning = ebpf.PinByName
		}
	}
	return spec, nil
}

// internalMap tells the maps that belong to one build's programs.
func internalMap(name string) bool { return len(name) > 0 && name[0] == '.' }

// hello tells the programs which process is exempt, and whose mount namespace
// names files.
func (e *Engine) hello() error {
	var ns uint32
	if text, err := os.Readlink(e.config.MountNS); err != nil {
		return fmt.Errorf("find the host's mount namespace: %w", err)
	} else if _, err := fmt.Sscanf(text, "mnt:[%d]", &ns); err != nil {
		return fmt.Errorf("parse %q: %w", text, err)
	}
	var d engineDaemon
	if err := e.maps.Daemons.Lookup(uint32(0), &d); err != nil {
		return fmt.Errorf("read the daemon's row: %w", err)
	}
	d.Tgid, d.HostMntns = uint32(os.Getpid()), ns
	if d.Owner == 0 {
		d.Owner = e.owner
	}
	if err := e.maps.Daemons.Put(uint32(0), &d); err != nil {
		return fmt.Errorf("write the daemon's row: %w", err)
	}
	current, err := e.current()
	if err != nil {
		return err
	}
	e.generation = current >> treeBits
	return nil
}

func (e *Engine) current() (uint64, error) {
	var c engineControl
	if err := e.maps.Controls.Lookup(uint32(0), &c); err != nil {
		return 0, fmt.Errorf("read the generation: %w", err)
	}
	return c.Current, nil
}

// advance adds to the one word that says what is in force.
func (e *Engine) advance(by uint64) error {
	arg := make([]byte, 8)
	binary.LittleEndian.PutUint64(arg, by)
	ret, err := e.objects.Advance.Run(&ebpf.RunOptions{Context: arg})
	if err != nil {
		return fmt.Errorf("switch the generation: %w", err)
	}
	if ret != 0 {
		return errors.New("switch the generation: the kernel found no control word")
	}
	return nil
}

// Close gives up the handles. The pins keep everything in force.
func (e *Engine) Close() error {
	for _, l := range e.links {
		l.Close()
	}
	e.links = map[string]link.Link{}
	if e.objects != nil {
		e.objects.Close()
		e.live.Close()
		e.objects, e.maps, e.live = nil, nil, nil
	}
	return nil
}

// Release lifts enforcement and removes every pin, of whatever version.
func (e *Engine) Release() error {
	if err := e.stop(); err != nil {
		return err
	}
	if err := e.Close(); err != nil {
		return err
	}
	e.generation, e.ruleset = 0, nil
	if err := os.RemoveAll(e.root()); err != nil {
		return fmt.Errorf("remove the pins: %w", err)
	}
	return nil
}

// stop ends the generation in force. The kernel detaches hooks some time after
// the last handle is gone; from here on they permit everything.
func (e *Engine) stop() error {
	if e.objects == nil {
		if _, err := os.Stat(filepath.Join(e.programDir(), "advance")); err != nil {
			return nil // nothing of this build: removing the pins has to do
		}
		if err := e.open(); err != nil {
			return err
		}
	}
	current, err := e.current()
	if err != nil {
		return err
	}
	// One more tree change, so that no word is ever used twice.
	return e.advance(1 - current>>treeBits<<treeBits)
}
