package vm

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

const archiveKeyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// aptRepo is one Debian suite with package lists and state of its own: the machine's apt is not touched.
type aptRepo struct {
	suite string
	dir   string
}

// mirror returns the Debian mirror that this machine's apt uses.
func mirror(ctx context.Context) (string, error) {
	out, err := aptGet.run(ctx, "indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(REPO_URI)", "Created-By: Packages")
	if err != nil {
		return "", fmt.Errorf("find the Debian mirror: %w", err)
	}
	return parseMirror(out)
}

// parseMirror reads lines of "origin|label|uri". Security and third-party archives do not carry every suite.
func parseMirror(targets string) (string, error) {
	for line := range strings.Lines(targets) {
		field := strings.SplitN(strings.TrimSpace(line), "|", 3)
		if len(field) == 3 && field[0] == "Debian" && field[1] == "Debian" && strings.Contains(field[2], ":") {
			return field[2], nil
		}
	}
	return "", fmt.Errorf("apt on this machine knows no Debian mirror (add one to /etc/apt and run apt-get update)")
}

func newAptRepo(ctx context.Context, suite, dir string) (*aptRepo, error) {
	uri, err := mirror(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(archiveKeyring); err != nil {
		return nil, fmt.Errorf("cannot verify Debian's signatures: %w (install debian-archive-keyring)", err)
	}
	repo := &aptRepo{suite: suite, dir: dir}
	for _, d := range []string{"state/lists/partial", "cache/archives/partial", "debs"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return nil, fmt.Errorf("create apt state: %w", err)
		}
	}
	source := fmt.Sprintf("deb [arch=amd64 signed-by=%s] %s %s main\n", archiveKeyring, uri, suite)
	if err := os.WriteFile(filepath.Join(dir, "sources.list"), []byte(source), 0o644); err != nil {
		return nil, fmt.Errorf("write apt sources: %w", err)
	}
	if _, err := aptGet.run(ctx, repo.args("update")...); err != nil {
		return nil, fmt.Errorf("read the package list of %s: %w", suite, err)
	}
	return repo, nil
}

func (r *aptRepo) args(args ...string) []string {
	return append([]string{
		"-o", "Dir::Etc::sourcelist=" + filepath.Join(r.dir, "sources.list"),
		"-o", "Dir::Etc::sourceparts=-",
		"-o", "Dir::Etc::preferencesparts=-",
		"-o", "Dir::State=" + filepath.Join(r.dir, "state"),
		"-o", "Dir::State::status=/dev/null",
		"-o", "Dir::Cache=" + filepath.Join(r.dir, "cache"),
		"-o", "APT::Architecture=amd64",
		"-o", "APT::Architectures=amd64",
		"-o", "APT::Sandbox::User=root",
		"-o", "APT::Get::AllowUnauthenticated=false",
		"-o", "APT::Update::Error-Mode=any",
		"-o", "Acquire::AllowInsecureRepositories=false",
		"-o", "Acquire::Languages=none",
		"-o", "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false",
		"-o", "Acquire::Retries=3",
	}, args...)
}

func (r *aptRepo) depends(ctx context.Context, pkg string) (version string, depends []string, err error) {
	out, err := aptCache.run(ctx, r.args("show", pkg)...)
	if err != nil {
		return "", nil, fmt.Errorf("look up %s in %s: %w", pkg, r.suite, err)
	}
	return parseShow(out, pkg)
}

// parseShow reads the first stanza of "apt-cache show", which is the newest version.
func parseShow(show, pkg string) (version string, depends []string, err error) {
	stanza, _, _ := strings.Cut(strings.TrimLeft(show, "\n"), "\n\n")
	var name string
	for line := range strings.Lines(stanza) {
		key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		if !ok || strings.HasPrefix(line, " ") {
			continue
		}
		switch key {
		case "Package":
			name = value
		case "Version":
			version = value
		case "Depends":
			for dep := range strings.SplitSeq(value, ",") {
				first, _, _ := strings.Cut(dep, "|")
				if f := strings.Fields(first); len(f) > 0 {
					depends = append(depends, f[0])
				}
			}
		}
	}
	if name != pkg || version == "" {
		return "", nil, fmt.Errorf("apt-cache show %s: no package and version in its answer:\n%s", pkg, indent(lastLines(show, 5)))
	}
	return version, depends, nil
}

// kernelPart matches the packages that hold a kernel: one package up to trixie, several after it.
var kernelPart = regexp.MustCompile(`^linux-(image|base|binary|modules)-[0-9][^ ]*-cloud-amd64$`)

// kernelPackages resolves the meta package to the packages with the kernel and its modules.
func (r *aptRepo) kernelPackages(ctx context.Context) (version string, packages []string, err error) {
	version, depends, err := r.depends(ctx, "linux-image-cloud-amd64")
	if err != nil {
		return "", nil, err
	}
	for _, dep := range depends {
		if kernelPart.MatchString(dep) {
			packages = append(packages, dep)
		}
	}
	if len(packages) == 0 {
		return "", nil, fmt.Errorf("linux-image-cloud-amd64 %s of %s depends on no kernel image (its Depends: %s)",
			version, r.suite, strings.Join(depends, ", "))
	}
	_, depends, err = r.depends(ctx, packages[0])
	if err != nil {
		return "", nil, err
	}
	for _, dep := range depends {
		if kernelPart.MatchString(dep) {
			packages = append(packages, dep)
		}
	}
	return version, packages, nil
}

// download fetches the packages, verified against the signed package list, and unpacks them into tree.
func (r *aptRepo) download(ctx context.Context, packages []string, tree string) error {
	debs := filepath.Join(r.dir, "debs")
	// apt-get download writes to the current directory, and only there.
	sh := tool{"sh", "dash"}
	apt, err := aptGet.path()
	if err != nil {
		return err
	}
	script := append([]string{"-c", `cd "$1" && shift && exec "$@"`, "sh", debs, apt}, r.args(append([]string{"download"}, packages...)...)...)
	if _, err := sh.run(ctx, script...); err != nil {
		return fmt.Errorf("download %s: %w", strings.Join(packages, " "), err)
	}
	found, err := filepath.Glob(filepath.Join(debs, "*.deb"))
	if err != nil || len(found) != len(packages) {
		return fmt.Errorf("apt-get download left %d packages in %s, want %d", len(found), debs, len(packages))
	}
	for _, deb := range found {
		if _, err := dpkgTool.run(ctx, "-x", deb, tree); err != nil {
			return fmt.Errorf("unpack %s: %w", filepath.Base(deb), err)
		}
	}
	return nil
}
