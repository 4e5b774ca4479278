package vm

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// unpackModules replaces every compressed module in the tree by its plain form.
func unpackModules(ctx context.Context, tree string) error {
	var packed []string
	err := filepath.WalkDir(tree, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(path, ".ko.xz") {
			packed = append(packed, path)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("list modules: %w", err)
	}
	for chunk := range slices.Chunk(packed, 500) {
		if _, err := xz.run(ctx, append([]string{"-d", "-T0", "--"}, chunk...)...); err != nil {
			return fmt.Errorf("unpack modules: %w", err)
		}
	}
	return nil
}

// loadOrder returns the files, relative to the module tree, to insert for the named modules, dependencies
// first. A module that is built into the kernel needs no file; one that the kernel does not have is an error.
func loadOrder(tree string, names []string) ([]string, error) {
	dep, err := os.ReadFile(filepath.Join(tree, "modules.dep"))
	if err != nil {
		return nil, fmt.Errorf("read module index: %w", err)
	}
	builtin, err := os.ReadFile(filepath.Join(tree, "modules.builtin"))
	if err != nil {
		return nil, fmt.Errorf("read list of built-in modules: %w", err)
	}
	return parseLoadOrder(string(dep), string(builtin), names)
}

func parseLoadOrder(dep, builtin string, names []string) ([]string, error) {
	files := map[string]string{}
	needs := map[string][]string{}
	for line := range strings.Lines(dep) {
		file, list, ok := strings.Cut(strings.TrimSpace(line), ":")
		if !ok {
			continue
		}
		files[moduleName(file)] = file
		needs[file] = strings.Fields(list)
	}
	inKernel := map[string]bool{}
	for line := range strings.Lines(builtin) {
		inKernel[moduleName(strings.TrimSpace(line))] = true
	}
	var order []string
	for _, name := range names {
		file := files[moduleName(name)]
		if file == "" {
			if inKernel[moduleName(name)] {
				continue
			}
			return nil, fmt.Errorf("the kernel has no module %s", name)
		}
		// modules.dep lists all dependencies, the deepest last.
		all := append([]string{file}, needs[file]...)
		for _, f := range slices.Backward(all) {
			if !slices.Contains(order, f) {
				order = append(order, f)
			}
		}
	}
	return order, nil
}

func moduleName(file string) string {
	name, _, _ := strings.Cut(filepath.Base(file), ".")
	return strings.ReplaceAll(name, "-", "_")
}
