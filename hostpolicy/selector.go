package hostpolicy

import (
	"fmt"
	"slices"
	"strings"
)

// Selector says who is confined. At most one of Host, Everything, Container
// and Unit is set and says where; User and LoginUser narrow that, or stand
// alone for such processes wherever they run. All that is given must match;
// an empty selector selects nobody.
type Selector struct {
	Host       bool // every process that is not in a container
	Everything bool // the host and all containers
	Container  *ContainerSelector
	Unit       []Glob // systemd units, with their whole cgroup subtree
	User       []IDs  // real or effective uid, in the initial user namespace
	LoginUser  []IDs  // the uid that logged in (loginuid)
}

// ContainerSelector selects containers. All lists that are given must match;
// one without any selects every container.
type ContainerSelector struct {
	Name  []Glob
	Image []Glob // see MatchImage
	// Namespace is of Kubernetes. A container that is in none matches.
	Namespace    []Glob
	Labels       []LabelMatch // all must match
	ExceptLabels []LabelMatch // none may match
}

// NamespaceLabel holds a container's Kubernetes namespace.
const NamespaceLabel = "io.kubernetes.pod.namespace"

// LabelMatch is about one label of a container: it has to be there, with a
// value that one of the globs matches.
type LabelMatch struct {
	Key    string
	Values []Glob
}

func (m LabelMatch) match(labels map[string]string) bool {
	value, ok := labels[m.Key]
	return ok && MatchAny(m.Values, value)
}

// IDs are the users from First to Last, both included.
type IDs struct {
	Name        string // as written where that is a name, else ""
	First, Last uint32
}

func (i IDs) String() string {
	switch {
	case i.Name != "":
		return i.Name
	case i.First == i.Last:
		return fmt.Sprint(i.First)
	}
	return fmt.Sprintf("%d-%d", i.First, i.Last)
}

func hasID(list []IDs, id uint32) bool {
	return slices.ContainsFunc(list, func(i IDs) bool { return i.First <= id && id <= i.Last })
}

// NoLogin is the login uid of a process that nobody logged in for.
const NoLogin = 1<<32 - 1

// Subject is who acts, as the reference evaluator sees it. The zero value is a
// process of root on the host, with an unknown program.
type Subject struct {
	// Programs are the canonical names of the executable that the process
	// runs: one per name that the file has in the mount table that names it.
	Programs []string
	// Container is nil for a process of the host.
	Container *Container
	// Units are the systemd units and slices that hold the process, the
	// outermost first.
	Units     []string
	UID, EUID uint32 // in the initial user namespace
	LoginUID  uint32 // NoLogin where there is none
}

// Container is one container as its runtime describes it.
type Container struct {
	ID, Name, Image string
	Labels          map[string]string
}

// Matches reports whether the selector selects the subject.
func (s *Selector) Matches(subject Subject) bool {
	switch {
	case s.Host:
		if subject.Container != nil {
			return false
		}
	case s.Everything:
	case s.Container != nil:
		if subject.Container == nil || !s.Container.Matches(subject.Container) {
			return false
		}
	case len(s.Unit) > 0:
		if !slices.ContainsFunc(subject.Units, func(unit string) bool { return MatchAny(s.Unit, unit) }) {
			return false
		}
	case len(s.User)+len(s.LoginUser) == 0:
		return false
	}
	if len(s.User) > 0 && !hasID(s.User, subject.UID) && !hasID(s.User, subject.EUID) {
		return false
	}
	return len(s.LoginUser) == 0 || subject.LoginUID != NoLogin && hasID(s.LoginUser, subject.LoginUID)
}

// Wide reports whether the selector can select every process of the host, or
// more: the default of `otherwise` is audit there.
func (s *Selector) Wide() bool {
	return (s.Host || s.Everything) && len(s.User)+len(s.LoginUser) == 0
}

// Matches reports whether the selector selects the container.
func (s *ContainerSelector) Matches(c *Container) bool {
	if len(s.Name) > 0 && !MatchAny(s.Name, strings.TrimPrefix(c.Name, "/")) {
		return false
	}
	if len(s.Image) > 0 && !slices.ContainsFunc(s.Image, func(g Glob) bool { return MatchImage(g, c.Image) }) {
		return false
	}
	if namespace, ok := c.Labels[NamespaceLabel]; ok && len(s.Namespace) > 0 && !MatchAny(s.Namespace, namespace) {
		return false
	}
	for _, m := range s.Labels {
		if !m.match(c.Labels) {
			return false
		}
	}
	return !slices.ContainsFunc(s.ExceptLabels, func(m LabelMatch) bool { return m.match(c.Labels) })
}

// MatchImage reports whether a pattern names an image. A runtime gives the
// image as somebody typed it, so the short name stands for the long one and
// the other way round (nginx:1.27 is docker.io/library/nginx:1.27), and a tag
// holds beside a digest. A pattern without a tag or digest is for all of them.
func MatchImage(pattern Glob, image string) bool {
	if image == "" {
		return pattern.Match("")
	}
	anyTag := !tagged(pattern.text)
	for _, name := range imageNames(image) {
		if pattern.Match(name) || anyTag && pattern.Match(untagged(name)) {
			return true
		}
	}
	return false
}

func imageNames(image string) []string {
	names := []string{image}
	registry, rest, slash := strings.Cut(image, "/")
	switch {
	case strings.HasPrefix(image, "sha256:"): // an id, which names no image
	case registry == "docker.io":
		names = append(names, strings.TrimPrefix(rest, "library/"))
	case registry == "library":
		names = append(names, rest, "docker.io/"+image)
	case !slash: // an official one
		names = append(names, "docker.io/library/"+image)
	case !strings.ContainsAny(registry, ".:") && registry != "localhost":
		names = append(names, "docker.io/"+image)
	}
	for _, name := range names {
		bare, _, _ := strings.Cut(name, "@")
		if !tagged(name) {
			names = append(names, name+":latest")
		} else if bare != name && tagged(bare) {
			names = append(names, bare)
		}
	}
	return names
}

func tagged(image string) bool {
	return strings.ContainsAny(image[strings.LastIndexByte(image, '/')+1:], ":@")
}

func untagged(image string) string {
	slash := strings.LastIndexByte(image, '/') + 1
	if i := strings.IndexAny(image[slash:], ":@"); i >= 0 {
		return image[:slash+i]
	}
	return image
}
