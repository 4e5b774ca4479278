package vm

import (
	"context"
	"fmt"
	"io"
)

// Prepare fills the cache with the kernels and, for Full, the image, so that later runs start at once.
func Prepare(ctx context.Context, kernels []string, guest Guest, progress io.Writer) error {
	say := func(format string, args ...any) { fmt.Fprintf(progress, "vm: "+format+"\n", args...) }
	for _, name := range kernels {
		if err := checkKernel(name); err != nil {
			return err
		}
	}
	for _, name := range kernels {
		k, err := openKernel(ctx, name, say)
		if err != nil {
			return err
		}
		say("kernel %s: ready (%s)", name, k.release)
	}
	if guest != Full {
		return nil
	}
	image, err := openImage(ctx, say)
	if err != nil {
		return err
	}
	say("image: ready (%s)", image)
	return nil
}
