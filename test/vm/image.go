package vm

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

var (
	//go:embed guest/packages.txt
	imagePackages string
	//go:embed guest/customize.sh
	imageCustomize []byte
)

const (
	imageSuite = "bookworm"
	// What the guest may write: containers, packages, logs. The image file is sparse.
	imageSpare = 3 << 30
	// Changing how the image is built must change this; its packages and its script count by themselves.
	imageRecipe = "1"
)

// imageName names the image for what it is built from.
func imageName() string {
	sum := sha256.Sum256([]byte(imageRecipe + "\x00" + imagePackages + "\x00" + string(imageCustomize)))
	return "image-" + imageSuite + "-" + hex.EncodeToString(sum[:4])
}

// openImage returns the ext4 image of the full guest, building it if it is not in the cache.
func openImage(ctx context.Context, progress func(string, ...any)) (string, error) {
	dir, err := cached(CacheDir(), imageName(), progress, func(dir string) error {
		return buildImage(ctx, dir, progress)
	})
	return filepath.Join(dir, "root.ext4"), err
}

func buildImage(ctx context.Context, dir string, progress func(string, ...any)) error {
	packages := strings.Fields(imagePackages)
	progress("image: installing Debian %s with %d packages (one to three minutes)", imageSuite, len(packages))
	uri, err := mirror(ctx)
	if err != nil {
		return err
	}
	customize := filepath.Join(dir, "customize.sh")
	if err := os.WriteFile(customize, imageCustomize, 0o755); err != nil {
		return err
	}
	tree := filepath.Join(dir, "tree")
	_, err = mmdebstrap.runRoot(ctx,
		"--quiet", "--mode=root", "--variant=minbase", "--architectures=amd64", "--components=main",
		"--keyring="+archiveKeyring,
		"--aptopt=Acquire::Languages none", "--aptopt=Acquire::Retries 3", "--aptopt=APT::Install-Recommends false",
		"--dpkgopt=force-unsafe-io",
		"--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/locale/*",
		"--include="+strings.Join(packages, ","),
		"--customize-hook="+customize+` "$1"`,
		imageSuite, tree, uri)
	if err != nil {
		return fmt.Errorf("install Debian %s: %w", imageSuite, err)
	}
	progress("image: writing the file system")
	if err := makeExt4(ctx, tool.runRoot, tree, filepath.Join(dir, "root.ext4"), imageSpare, "root"); err != nil {
		return err
	}
	return errors.Join(removeAll(tree), os.Remove(customize))
}

// rootDrive returns the disk that the full guest boots from.
func (r *run) rootDrive(ctx context.Context) (drive, error) {
	image, err := openImage(ctx, r.progress)
	if err != nil {
		return drive{}, err
	}
	if r.job.Disk == "" {
		return drive{serial: "root", file: image, format: "raw", snapshot: true}, nil
	}
	_, err = os.Stat(r.job.Disk)
	if errors.Is(err, fs.ErrNotExist) {
		_, err = qemuImg.run(ctx, "create", "-q", "-f", "qcow2", "-F", "raw", "-b", image, r.job.Disk)
	}
	if err != nil {
		return drive{}, fmt.Errorf("open persistent disk: %w", err)
	}
	return drive{serial: "root", file: r.job.Disk, format: "qcow2"}, nil
}
