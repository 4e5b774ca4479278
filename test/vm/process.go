package vm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// qemuProcess is a started QEMU. exited closes when it is gone; err is then its exit status.
type qemuProcess struct {
	process *os.Process
	exited  chan struct{}
	err     error
	once    sync.Once
}

// kill ends QEMU, if it still runs, and waits until it is gone.
func (q *qemuProcess) kill() {
	q.once.Do(func() {
		select {
		case <-q.exited:
		default:
			// It can only have ended by itself in the meantime.
			_ = q.process.Kill()
			<-q.exited
		}
	})
}

// start starts QEMU and connects both ports.
func (r *run) start(ctx context.Context, m machine) (*qemuProcess, error) {
	outSocket, err := listen(m.out)
	if err != nil {
		return nil, err
	}
	defer outSocket.Close()
	resultSocket, err := listen(m.result)
	if err != nil {
		return nil, err
	}
	defer resultSocket.Close()
	q, err := r.spawn(qemuArgs(m))
	if err != nil {
		return nil, err
	}
	r.out, err = accept(ctx, outSocket, q)
	if err == nil {
		r.result, err = accept(ctx, resultSocket, q)
	}
	if err != nil {
		q.kill()
		if r.out != nil {
			r.out.Close()
		}
		log, _ := os.ReadFile(r.path("qemu.log"))
		return nil, fmt.Errorf("start QEMU: %w\n%s", err, indent(lastLines(string(log), 10)))
	}
	go func() {
		_, err := io.Copy(&counter{r.job.Output, r}, r.out)
		// QEMU killed with unread data in its socket: the byte count says whether something was lost.
		if errors.Is(err, syscall.ECONNRESET) || errors.Is(err, net.ErrClosed) {
			err = nil
		}
		r.outDone <- err
	}()
	return q, nil
}

// hangUp ends the goroutines that read the ports.
func (r *run) hangUp() {
	r.out.Close()
	r.result.Close()
}

func (r *run) spawn(args []string) (*qemuProcess, error) {
	path, err := qemu.path()
	if err != nil {
		return nil, err
	}
	log, err := os.Create(r.path("qemu.log"))
	if err != nil {
		return nil, fmt.Errorf("create QEMU's log: %w", err)
	}
	fmt.Fprintf(log, "%s %s\n", path, strings.Join(args, " "))
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = log, log
	// -snapshot files: the default directory may be a small tmpfs.
	cmd.Env = append(os.Environ(), "TMPDIR="+r.work)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	q := &qemuProcess{exited: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		// Pdeathsig fires when the starting thread ends, so that thread has to stay until QEMU is gone.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer log.Close()
		err := cmd.Start()
		q.process = cmd.Process
		started <- err
		if err == nil {
			q.err = cmd.Wait()
			close(q.exited)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start QEMU: %w", err)
	}
	return q, nil
}

// counter passes output on and counts it.
type counter struct {
	w io.Writer
	r *run
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.r.received.Add(int64(n))
	return n, err
}

func listen(path string) (*net.UnixListener, error) {
	// sun_path holds 108 bytes.
	if len(path) > 107 {
		return nil, fmt.Errorf("%s is too long for a socket (set TMPDIR to a shorter directory)", path)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen for QEMU: %w", err)
	}
	return l, nil
}

// accept waits for QEMU to connect, which it does before the guest starts.
func accept(ctx context.Context, l *net.UnixListener, q *qemuProcess) (net.Conn, error) {
	deadline := time.Now().Add(time.Minute)
	for {
		select {
		case <-q.exited:
			return nil, fmt.Errorf("it ended at once (%v)", q.err)
		case <-ctx.Done():
			return nil, ctx.Err()
		default:
		}
		if err := l.SetDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
			return nil, err
		}
		conn, err := l.Accept()
		if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) || time.Now().After(deadline) {
			return conn, err
		}
	}
}
