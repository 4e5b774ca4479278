//go:build e2e

package escapes

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// Commands of bpf(2), and what may be done with a map's descriptor.
const (
	bpfLookup    = 1
	bpfUpdate    = 2
	bpfObjGet    = 7
	bpfTestRun   = 10
	bpfProgNext  = 11
	bpfMapNext   = 12
	bpfProgFD    = 13
	bpfMapFD     = 14
	bpfInfo      = 15
	bpfMapFreeze = 22

	bpfReadOnly = 1 << 3
)

// listed finds a map or program of HostArmor by its name and opens it by id.
func listed(next, open int, nameAt int, name string, flags uint32) (int, error) {
	var refused error // one that may be it
	for id := uint32(0); ; {
		query := native(id, uint32(0), uint32(0))
		if _, err := bpf(next, query); err != nil && refused != nil {
			return -1, refused
		} else if err != nil {
			return -1, fmt.Errorf("no %s is listed: %v", name, err)
		}
		id = binary.LittleEndian.Uint32(query[4:])
		// For reading always, which nothing forbids: to learn its name.
		look := uint32(0)
		if open == bpfMapFD {
			look = bpfReadOnly
		}
		fd, err := bpf(open, native(id, uint32(0), look))
		if errors.Is(err, unix.ENOENT) {
			continue
		}
		if err != nil {
			refused = at("open it to read its name", err)
			continue
		}
		info := make([]byte, 256)
		_, err = bpf(bpfInfo, native(uint32(fd), uint32(len(info)), uint64(ptr(&info[0]))))
		runtime.KeepAlive(info)
		if err != nil {
			return -1, fmt.Errorf("its name cannot be read: %v", err)
		}
		if unix.ByteSliceToString(info[nameAt:nameAt+16]) != name {
			unix.Close(fd)
			continue
		}
		if look == flags {
			return fd, nil
		}
		unix.Close(fd)
		fd, err = bpf(open, native(id, uint32(0), flags))
		return fd, at("open "+name+" by its id", err)
	}
}

// Where the names stand in what the kernel tells of a map and of a program.
const mapName, progName = 24, 64

func mapByID(name string, flags uint32) (int, error) {
	return listed(bpfMapNext, bpfMapFD, mapName, name, flags)
}

// rewrite writes the first row of a map as it is.
func rewrite(fd int) error {
	key, value := make([]byte, 8), make([]byte, 256)
	row := native(uint64(fd), uint64(ptr(&key[0])), uint64(ptr(&value[0])), uint64(0))
	if _, err := bpf(bpfLookup, row); err != nil {
		return fmt.Errorf("it cannot be read: %v", err)
	}
	_, err := bpf(bpfUpdate, row)
	runtime.KeepAlive(key)
	runtime.KeepAlive(value)
	return at("update", err)
}

// pin is what HostArmor has pinned under a name.
func pin(pattern string) (string, error) {
	found, err := filepath.Glob(pins + "/" + pattern)
	if err == nil && len(found) != 1 {
		err = fmt.Errorf("%d pins are like %s", len(found), pattern)
	}
	if err != nil {
		return "", err
	}
	return found[0], nil
}

func remountPins() error {
	if err := unix.Unmount(bpffs, unix.MNT_DETACH); err != nil && err != unix.EINVAL {
		return err
	}
	return unix.Mount("bpf", bpffs, "bpf", 0, "mode=700")
}

// replaceFunction loads a program onto one of HostArmor's. It is no such function,
// so what is not refused before is refused by the verifier.
func replaceFunction(*ctx) error {
	const (
		load, extension = 5, 28
		anyFunction     = 1 // of the types that the program on which it goes describes
	)
	onto, err := listed(bpfProgNext, bpfProgFD, progName, "file_open", 0)
	if err != nil {
		return err
	}
	defer unix.Close(onto)
	instructions := []uint64{0xb7, 0x95} // r0 = 0; exit
	license := []byte("GPL\x00")
	_, err = bpf(load, native(
		uint32(extension), uint32(len(instructions)), uint64(ptr(&instructions[0])), uint64(ptr(&license[0])),
		[44]byte{}, // log, flags, name, interface
		uint32(0),  // expected_attach_type
		[36]byte{}, // BTF
		uint32(anyFunction), uint32(onto)))
	runtime.KeepAlive(instructions)
	runtime.KeepAlive(license)
	if errors.Is(err, unix.EINVAL) {
		return nil
	}
	return at("load", err)
}

func init() {
	registerHarms(
		harm{name: "map-update", try: func(*ctx) error {
			fd, err := mapByID("controls", 0)
			if err != nil {
				return err
			}
			return rewrite(fd)
		}},
		harm{name: "map-by-pin", try: func(*ctx) error {
			path, err := pin("v*/maps/controls")
			if err != nil {
				return err
			}
			name, err := unix.BytePtrFromString(path)
			if err != nil {
				return err
			}
			fd, err := bpf(bpfObjGet, native(uint64(ptr(name)), uint64(0)))
			runtime.KeepAlive(name)
			if err != nil {
				return err
			}
			return rewrite(fd)
		}},
		harm{name: "map-events-swallowed", try: func(*ctx) error {
			// Who reads the ring says where it has been read to.
			fd, err := mapByID("events", 0)
			if err != nil {
				return err
			}
			m, err := unix.Mmap(fd, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
			if err != nil {
				return at("mmap", err)
			}
			return unix.Munmap(m)
		}},
		harm{name: "program-run", try: func(*ctx) error {
			// It adds to the word that says what is in force; here nothing.
			fd, err := listed(bpfProgNext, bpfProgFD, progName, "advance", 0)
			if err != nil {
				return err
			}
			argument := make([]byte, 8)
			_, err = bpf(bpfTestRun, native(uint32(fd), uint32(0), uint32(0), uint32(0), uint64(0), uint64(0),
				uint32(0), uint32(0), uint32(len(argument)), uint32(0), uint64(ptr(&argument[0])), uint64(0)))
			runtime.KeepAlive(argument)
			return at("run", err)
		}},
		harm{name: "program-replace", try: replaceFunction},
		harm{name: "pins-add", try: func(*ctx) error {
			if err := os.Mkdir(pins+"/v1-other", 0o700); err != nil {
				return err
			}
			return os.Remove(pins + "/v1-other")
		}},

		// From here on nothing can be loaded until the service has made all anew.
		harm{name: "map-freeze", breaks: true, try: func(*ctx) error {
			fd, err := mapByID("losses", 0)
			if err != nil {
				return err
			}
			_, err = bpf(bpfMapFreeze, native(uint32(fd)))
			return at("freeze", err)
		}},
		harm{name: "pins-unlink", breaks: true, try: func(*ctx) error {
			link, err := pin("v*/*/links/file_open")
			if err != nil {
				return err
			}
			return unix.Unlink(link)
		}},
		harm{name: "pins-rename", breaks: true, try: func(*ctx) error {
			link, err := pin("v*/*/links/path_rename")
			if err != nil {
				return err
			}
			return unix.Rename(link, link+"-away")
		}},
		harm{name: "pins-rename-directory", breaks: true, try: func(*ctx) error { return unix.Rename(pins, pins+"-away") }, mend: func() error {
			return unix.Rename(pins+"-away", pins)
		}},
		harm{name: "pins-remove-all", breaks: true, try: func(*ctx) error { return os.RemoveAll(pins) }},
		harm{name: "pins-unmount", breaks: true, mend: remountPins, try: func(*ctx) error {
			return unix.Unmount(bpffs, 0)
		}},
		harm{name: "pins-unmount-lazily", breaks: true, mend: remountPins, try: func(*ctx) error {
			return unix.Unmount(bpffs, unix.MNT_DETACH)
		}},
	)
}
