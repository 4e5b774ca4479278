// Package links finds the files that rules name and that have further hard
// links: a file is judged by the name that it is reached by, and by all that
// rules give it only where those are known.
//
// Names are those of the host's mount table. No symbolic link is followed, and
// file systems of the kernel are left out, because they have no hard links. So
// are network file systems and FUSE, where a server that does not answer would
// keep policies from being loaded.
package links
