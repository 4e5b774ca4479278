package vm

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Kernels are the names of the kernels that a guest can boot, oldest first: Debian's cloud kernels of
// bullseye, bookworm, trixie and sid.
var Kernels = []string{"5.10", "6.1", "6.12", "7.2"}

var kernelSuite = map[string]string{"5.10": "bullseye", "6.1": "bookworm", "6.12": "trixie", "7.2": "sid"}

// Changing what a kernel directory holds must change this, or old caches would be taken for new ones.
const kernelRecipe = "1"

// kernel is one unpacked kernel in the cache.
type kernel struct {
	name    string
	dir     string // vmlinuz, modules/RELEASE/, modules.ext4
	release string
}

func (k *kernel) image() string       { return filepath.Join(k.dir, "vmlinuz") }
func (k *kernel) moduleTree() string  { return filepath.Join(k.dir, "modules", k.release) }
func (k *kernel) moduleImage() string { return filepath.Join(k.dir, "modules.ext4") }

// checkKernel refuses a name that is not in Kernels.
func checkKernel(name string) error {
	if kernelSuite[name] == "" {
		return fmt.Errorf("unknown kernel %q (one of %s)", name, strings.Join(Kernels, ", "))
	}
	return nil
}

// openKernel returns the kernel from the cache, downloading it if it is not there.
func openKernel(ctx context.Context, name string, progress func(string, ...any)) (*kernel, error) {
	if err := checkKernel(name); err != nil {
		return nil, err
	}
	dir, err := cached(CacheDir(), "kernel-"+name+"-r"+kernelRecipe, progress, func(dir string) error {
		return buildKernel(ctx, name, dir, progress)
	})
	if err != nil {
		return nil, err
	}
	release, err := os.ReadFile(filepath.Join(dir, "release"))
	if err != nil {
		return nil, fmt.Errorf("read cached kernel %s: %w (delete %s to build it again)", name, err, dir)
	}
	return &kernel{name: name, dir: dir, release: strings.TrimSpace(string(release))}, nil
}

func buildKernel(ctx context.Context, name, dir string, progress func(string, ...any)) error {
	progress("kernel %s: reading the package list of %s", name, kernelSuite[name])
	work := filepath.Join(dir, "work")
	repo, err := newAptRepo(ctx, kernelSuite[name], work)
	if err != nil {
		return err
	}
	version, packages, err := repo.kernelPackages(ctx)
	if err != nil {
		return err
	}
	if !strings.HasPrefix(version, name+".") {
		return fmt.Errorf("%s now carries kernel %s, no longer %s (correct Kernels in test/vm/kernel.go)", kernelSuite[name], version, name)
	}
	progress("kernel %s: downloading %s", name, strings.Join(packages, " "))
	tree := filepath.Join(work, "tree")
	if err := repo.download(ctx, packages, tree); err != nil {
		return err
	}
	release, err := installKernel(ctx, tree, dir)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "release"), []byte(release+"\n"), 0o644); err != nil {
		return err
	}
	progress("kernel %s: %s (Debian %s)", name, release, version)
	return os.RemoveAll(work)
}

// installKernel moves kernel and modules out of an unpacked package tree and returns the kernel's release.
func installKernel(ctx context.Context, tree, dir string) (release string, err error) {
	modules, err := oneOf(tree, "lib/modules/*", "usr/lib/modules/*")
	if err != nil {
		return "", err
	}
	release = filepath.Base(modules)
	image, err := oneOf(tree, "boot/vmlinuz-*", "usr/lib/modules/*/vmlinuz")
	if err != nil {
		return "", err
	}
	if err := os.Rename(image, filepath.Join(dir, "vmlinuz")); err != nil {
		return "", err
	}
	base := filepath.Join(dir, "depmod")
	moved := filepath.Join(base, "lib", "modules", release)
	if err := os.MkdirAll(filepath.Dir(moved), 0o755); err != nil {
		return "", err
	}
	if err := os.Rename(modules, moved); err != nil {
		return "", err
	}
	// Unpacking xz under TCG costs the guest more than reading the plain module.
	if err := unpackModules(ctx, moved); err != nil {
		return "", err
	}
	if _, err := depmod.run(ctx, "-b", base, release); err != nil {
		return "", fmt.Errorf("index the modules: %w", err)
	}
	final := filepath.Join(dir, "modules")
	if err := os.Rename(filepath.Join(base, "lib", "modules"), final); err != nil {
		return "", err
	}
	if err := os.RemoveAll(base); err != nil {
		return "", err
	}
	return release, makeExt4(ctx, tool.run, final, filepath.Join(dir, "modules.ext4"), 64<<20, "modules")
}

// oneOf returns the only file of the tree that one of the patterns matches: its place differs between releases.
func oneOf(tree string, patterns ...string) (string, error) {
	var found []string
	for _, pattern := range patterns {
		// The patterns are constants and well formed.
		matches, _ := filepath.Glob(filepath.Join(tree, pattern))
		found = append(found, matches...)
	}
	if len(found) != 1 {
		return "", fmt.Errorf("the kernel packages hold %d of %s, want 1", len(found), strings.Join(patterns, " or "))
	}
	return found[0], nil
}
