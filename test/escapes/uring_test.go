//go:build e2e

package escapes

import (
	"errors"
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The few parts of io_uring that attacks need; names and layout are those of
// include/uapi/linux/io_uring.h.
const (
	setupSQPoll = 1 << 1
	sqeAsync    = 1 << 4
	opOpenat    = 18
	opRead      = 22
	opRenameat  = 35
	opLinkat    = 39
	enterGet    = 1 << 0
	enterWakeup = 1 << 1
	offsetCQ    = 0x8000000
	offsetSQEs  = 0x10000000
	ringEntries = 8
)

type ringParams struct {
	sqEntries, cqEntries, flags, cpu, idle, features, wq uint32
	_                                                    [3]uint32
	sq                                                   struct {
		head, tail, mask, entries, flags, dropped, array, _ uint32
		_                                                   uint64
	}
	cq struct {
		head, tail, mask, entries, overflow, cqes, flags, _ uint32
		_                                                   uint64
	}
}

type sqe struct {
	opcode, flags uint8
	ioprio        uint16
	fd            int32
	off, addr     uint64
	len, opFlags  uint32
	user          uint64
	_             [3]uint64
}

type cqe struct {
	user  uint64
	res   int32
	flags uint32
}

// ring is an io_uring that does one thing at a time.
type ring struct {
	fd           int
	params       ringParams
	sq, cq, sqes []byte
}

func newRing(flags uint32) (*ring, error) {
	r := &ring{params: ringParams{flags: flags, idle: 1000}}
	fd, _, e := unix.Syscall(unix.SYS_IO_URING_SETUP, ringEntries, uintptr(unsafe.Pointer(&r.params)), 0)
	if e != 0 {
		return nil, at("io_uring_setup", e)
	}
	r.fd = int(fd)
	sq := int(r.params.sq.array) + 4*int(r.params.sqEntries)
	cq := int(r.params.cq.cqes) + int(unsafe.Sizeof(cqe{}))*int(r.params.cqEntries)
	for _, m := range []struct {
		to     *[]byte
		offset int64
		size   int
	}{{&r.sq, 0, sq}, {&r.cq, offsetCQ, cq}, {&r.sqes, offsetSQEs, ringEntries * int(unsafe.Sizeof(sqe{}))}} {
		b, err := unix.Mmap(r.fd, m.offset, m.size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
		if err != nil {
			return nil, at("map the ring", err)
		}
		*m.to = b
	}
	return r, nil
}

func word(b []byte, offset uint32) *uint32 { return (*uint32)(unsafe.Pointer(&b[offset])) }

// do runs one operation, and returns its result.
func (r *ring) do(s sqe) (int, error) {
	tail := word(r.sq, r.params.sq.tail)
	index := *tail & *word(r.sq, r.params.sq.mask)
	*(*sqe)(unsafe.Pointer(&r.sqes[uintptr(index)*unsafe.Sizeof(sqe{})])) = s
	*word(r.sq, r.params.sq.array+4*index) = index
	atomic.StoreUint32(tail, *tail+1)
	flags, submit := uintptr(enterGet), uintptr(1)
	if r.params.flags&setupSQPoll != 0 {
		flags |= enterWakeup
	}
	if _, _, e := unix.Syscall6(unix.SYS_IO_URING_ENTER, uintptr(r.fd), submit, 1, flags, 0, 0); e != 0 {
		return 0, at("io_uring_enter", e)
	}
	head := word(r.cq, r.params.cq.head)
	if atomic.LoadUint32(word(r.cq, r.params.cq.tail)) == *head {
		return 0, errors.New("io_uring_enter returned without a completion")
	}
	done := *(*cqe)(unsafe.Pointer(&r.cq[uintptr(r.params.cq.cqes)+uintptr(*head&*word(r.cq, r.params.cq.mask))*unsafe.Sizeof(cqe{})]))
	atomic.StoreUint32(head, *head+1)
	if done.res < 0 {
		return 0, at(fmt.Sprintf("operation %d", s.opcode), unix.Errno(-done.res))
	}
	return int(done.res), nil
}

// tryRing opens and reads a file without one system call for it.
func tryRing(c *ctx, setup uint32, flags uint8) error {
	r, err := newRing(setup)
	if err != nil {
		return err
	}
	defer unix.Close(r.fd)
	fd, err := r.do(sqe{opcode: opOpenat, flags: flags, fd: unix.AT_FDCWD, addr: uint64(pointer(c.target)), opFlags: unix.O_RDONLY})
	if err != nil {
		return at("openat", err)
	}
	b := make([]byte, len(c.text))
	n, err := r.do(sqe{opcode: opRead, flags: flags, fd: int32(fd), addr: uint64(uintptr(unsafe.Pointer(&b[0]))), len: uint32(len(b))})
	if err != nil {
		return at("read", err)
	}
	return c.same(b[:n])
}

// tryRingNames renames or links the target, and reads it under its new name.
func tryRingNames(c *ctx, op uint8) error {
	r, err := newRing(0)
	if err != nil {
		return err
	}
	defer unix.Close(r.fd)
	cwd := int32(unix.AT_FDCWD)
	// The new directory's descriptor stands where other operations have a length.
	if _, err := r.do(sqe{opcode: op, fd: cwd, addr: uint64(pointer(c.target)), len: uint32(cwd), off: uint64(pointer(c.tmp("name")))}); err != nil {
		return err
	}
	return c.read(c.tmp("name"))
}
