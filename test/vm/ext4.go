package vm

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// runner is tool.run, or tool.runRoot for a tree that only root can read.
type runner func(t tool, ctx context.Context, args ...string) (stdout string, err error)

// makeExt4 writes the tree, or nothing if tree is empty, to a new ext4 image with spare bytes left free.
func makeExt4(ctx context.Context, run runner, tree, image string, spare int64, label string) error {
	size := spare
	args := []string{"-q", "-F", "-t", "ext4", "-L", label, "-m", "0", "-O", "^metadata_csum_seed", "-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard"}
	if tree != "" {
		used, err := treeSize(ctx, run, tree)
		if err != nil {
			return fmt.Errorf("measure %s: %w", tree, err)
		}
		size += used + used/10
		args = append(args, "-d", tree)
	}
	args = append(args, image, strconv.FormatInt(size>>10, 10)+"k")
	if _, err := run(mke2fs, ctx, args...); err != nil {
		return fmt.Errorf("make file system %s: %w", label, err)
	}
	return nil
}

// treeSize counts what the tree takes on disk, in bytes.
func treeSize(ctx context.Context, run runner, tree string) (int64, error) {
	out, err := run(tool{"du", "coreutils"}, ctx, "-s", "-k", "--", tree)
	if err != nil {
		return 0, err
	}
	text, _, _ := strings.Cut(out, "\t")
	n, err := strconv.ParseInt(text, 10, 64)
	return n << 10, err
}
