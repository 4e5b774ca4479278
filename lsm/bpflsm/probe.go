package bpflsm

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/hostarmor/hostarmor/lsm"
)

// unsupported is an error that names the missing condition and the next step.
func unsupported(condition, remedy string) error {
	return fmt.Errorf("%w by BPF-LSM: %s; %s", lsm.ErrUnsupported, condition, remedy)
}

// Probe looks at the running kernel. It changes nothing.
func (e *Engine) Probe() (lsm.Support, error) {
	s, _ := lsm.Offers("bpf")
	s.Kernel, s.Missing = release(), make(map[lsm.Kind]string)
	list, err := os.ReadFile(e.config.LSMList)
	if err != nil {
		return s, unsupported(fmt.Sprintf("cannot read %s (%v)", e.config.LSMList, err),
			"mount securityfs: mount -t securityfs securityfs /sys/kernel/security")
	}
	active := strings.Split(strings.TrimSpace(string(list)), ",")
	if !slices.Contains(active, "bpf") {
		return s, unsupported(fmt.Sprintf("bpf is not among the active security modules (%s)", strings.Join(active, ",")),
			fmt.Sprintf("boot with lsm=%s,bpf on the kernel command line (GRUB_CMDLINE_LINUX in /etc/default/grub, then update-grub and reboot)",
				strings.Join(active, ",")))
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(e.config.BPFFS, &fs); err != nil || fs.Type != unix.BPF_FS_MAGIC {
		return s, unsupported(fmt.Sprintf("no BPF file system on %s", e.config.BPFFS),
			"mount -t bpf bpf "+e.config.BPFFS)
	}
	kernel, err := btf.LoadKernelSpec()
	if err != nil {
		return s, unsupported(fmt.Sprintf("the kernel does not describe its types (%v)", err),
			"use a kernel built with CONFIG_DEBUG_INFO_BTF, as Debian's are")
	}
	for helper, name := range map[string]string{
		"bpf_inode_storage_get": "inode storage", "bpf_task_storage_get": "task storage", "bpf_loop": "bpf_loop",
	} {
		if err := hasFunc(kernel, helper); errors.Is(err, btf.ErrNotFound) {
			return s, unsupported(fmt.Sprintf("kernel %s lacks %s", s.Kernel, name), "use Linux 6.1 or later")
		} else if err != nil {
			return s, err
		}
	}
	for _, h := range hooks {
		target := h.kernelName()
		if err := hasFunc(kernel, h.kernelName()); err == nil || h.before != "" && errors.Is(err, btf.ErrNotFound) {
			continue
		} else if !errors.Is(err, btf.ErrNotFound) {
			return s, err
		}
		for _, op := range h.acts {
			s.Lacks[lsm.OfSystem(op)] = fmt.Sprintf("kernel %s has no hook %s (%s)", s.Kernel, h.name, h.judges)
		}
		if len(h.kinds)+len(h.acts) == 0 {
			return s, unsupported(fmt.Sprintf("kernel %s has no %s", s.Kernel, target), "use a distribution kernel, 6.1 or later")
		}
		for _, k := range h.kinds {
			s.Missing[k] = fmt.Sprintf("kernel %s has no hook %s (%s)", s.Kernel, h.name, h.judges)
		}
	}
	return s, nil
}

// without lists the hooks that this kernel lacks. Their programs cannot be
// loaded.
func without() (map[string]bool, error) {
	kernel, err := btf.LoadKernelSpec()
	if err != nil {
		return nil, fmt.Errorf("read the kernel's types: %w", err)
	}
	missing := map[string]bool{probeParent: true}
	for i := range hooks {
		h := &hooks[i]
		if err := hasFunc(kernel, h.kernelName()); errors.Is(err, btf.ErrNotFound) {
			missing[h.name] = true
		} else if err != nil {
			return nil, err
		}
	}
	return missing, nil
}

// probeParent is a program that is only ever loaded to see whether it can be.
const probeParent = "probe_parent"

// fit sets what the programs have to know of the kernel's verifier.
func fit(spec *ebpf.CollectionSpec) error {
	strict, err := argumentsOnly(spec)
	if err != nil {
		return err
	}
	if err := spec.Variables["arguments_only"].Set(strict); err != nil {
		return fmt.Errorf("set arguments_only: %w", err)
	}
	kernel, err := btf.LoadKernelSpec()
	if err != nil {
		return fmt.Errorf("read the kernel's types: %w", err)
	}
	var fn *btf.Func
	if err := kernel.TypeByName("bpf_lsm_inode_setattr", &fn); err != nil {
		return fmt.Errorf("look for inode_setattr in the kernel's types: %w", err)
	}
	proto, _ := fn.Type.(*btf.FuncProto)
	if err := spec.Variables["setattr_idmap"].Set(proto != nil && len(proto.Params) == 3); err != nil {
		return fmt.Errorf("set setattr_idmap: %w", err)
	}
	return nil
}

// argumentsOnly reports whether the kernel lends inode storage only to who
// came to the inode by pointers that it vouches for, as Linux 7.2 does.
func argumentsOnly(spec *ebpf.CollectionSpec) (bool, error) {
	spec = spec.Copy()
	for name := range spec.Programs {
		if name != probeParent {
			delete(spec.Programs, name)
		}
	}
	for name := range spec.Maps {
		if name != "inodes" {
			delete(spec.Maps, name)
		}
	}
	spec.Variables = nil // they are of maps that are not loaded
	c, err := ebpf.NewCollection(spec)
	if _, refused := errors.AsType[*ebpf.VerifierError](err); refused {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("see what the kernel's verifier accepts: %w", err)
	}
	c.Close()
	return false, nil
}

func hasFunc(kernel *btf.Spec, name string) error {
	var fn *btf.Func
	if err := kernel.TypeByName(name, &fn); err != nil {
		return fmt.Errorf("look for %s in the kernel's types: %w", name, err)
	}
	return nil
}

func release() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(u.Release[:])
}
