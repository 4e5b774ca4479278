package vm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// How long the host waits, in wall-clock time, for a guest that is emulated on a busy machine.
const (
	stopGrace     = 60 * time.Second // to kill the job and send its logs, after the timeout
	shutdownGrace = 3 * time.Minute  // to shut a full guest down
	drainGrace    = 30 * time.Second // to deliver output that the guest has already written
)

// run is one running guest.
type run struct {
	job  *Job
	work string

	out, result net.Conn
	received    atomic.Int64 // bytes of job output written to job.Output
	outDone     chan error
}

func (r *run) path(name string) string { return filepath.Join(r.work, name) }

func (r *run) progress(format string, args ...any) {
	fmt.Fprintf(r.job.Progress, "vm: "+format+"\n", args...)
}

// Run boots a guest and runs the job in it. An error means that the harness, QEMU or the guest's kernel
// failed and there is no exit code; a job that fails or runs out of time is a Result.
func Run(ctx context.Context, job Job) (Result, error) {
	if err := job.normalize(); err != nil {
		return Result{}, err
	}
	// Before minutes are spent on kernels and images.
	if _, err := qemu.path(); err != nil {
		return Result{}, err
	}
	work, err := os.MkdirTemp("", "hostarmor-vm-")
	if err != nil {
		return Result{}, fmt.Errorf("create work directory: %w", err)
	}
	defer os.RemoveAll(work)
	r := &run{job: &job, work: work, outDone: make(chan error, 1)}
	m, err := r.prepare(ctx)
	if err != nil {
		return Result{}, err
	}
	return r.boot(ctx, m)
}

// needsCX16 reports whether a kernel has BPF programs allocate without locks,
// which it does by cmpxchg16b and not at all without: no task or inode would
// have storage.
func needsCX16(kernel string) bool { return !slices.Contains([]string{"5.10", "6.1", "6.12"}, kernel) }

// prepare makes the files that the guest boots from.
func (r *run) prepare(ctx context.Context) (machine, error) {
	j := r.job
	k, err := openKernel(ctx, j.Kernel, r.progress)
	if err != nil {
		return machine{}, err
	}
	m := machine{
		kernel: k.image(), initrd: r.path("initrd"), cmdline: commandLine(j),
		console: r.path("console.log"), out: r.path("out"), result: r.path("result"),
		cpus: j.CPUs, memoryMB: j.MemoryMB, icount: j.ICount, cx16: needsCX16(j.Kernel),
		drives: []drive{
			{serial: "job", file: r.path("job.tar"), format: "raw", readonly: true},
			{serial: "modules", file: k.moduleImage(), format: "raw", readonly: true},
		},
	}
	if err := writeTo(m.initrd, func(w io.Writer) error { return writeInitramfs(w, k, j.Guest) }); err != nil {
		return machine{}, fmt.Errorf("make initramfs: %w", err)
	}
	if err := writeTo(r.path("job.tar"), func(w io.Writer) error { return writeJob(w, j) }); err != nil {
		return machine{}, fmt.Errorf("make job disk: %w", err)
	}
	if j.Guest == Minimal {
		scratch := r.path("scratch.ext4")
		if err := makeExt4(ctx, tool.run, "", scratch, 256<<20, "scratch"); err != nil {
			return machine{}, err
		}
		m.drives = append([]drive{{serial: "scratch", file: scratch, format: "raw"}}, m.drives...)
		return m, nil
	}
	root, err := r.rootDrive(ctx)
	if err != nil {
		return machine{}, err
	}
	m.drives = append([]drive{root}, m.drives...)
	return m, nil
}

func writeTo(path string, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}

// outcome is how the guest ended.
type outcome struct {
	rep      *report
	err      error // why there is no report
	timedOut bool
}

func (r *run) boot(ctx context.Context, m machine) (Result, error) {
	started := time.Now()
	q, err := r.start(ctx, m)
	if err != nil {
		return Result{}, err
	}
	defer r.hangUp()
	defer q.kill()
	end := r.wait(ctx, q)
	res := Result{ExitCode: -1, TimedOut: end.timedOut}
	if ctx.Err() != nil {
		return res, fmt.Errorf("interrupted: %w", ctx.Err())
	}
	if end.rep != nil && !end.timedOut {
		res.ExitCode = end.rep.exit
	}
	if end.err == nil && r.job.Disk != "" && !r.job.PowerCut && !end.timedOut {
		end.err = r.shutdown(ctx, q)
	}
	var lost error
	if end.rep != nil {
		lost = r.drain(end.rep)
	}
	q.kill()
	res.Duration = time.Since(started)
	if end.err == nil && end.rep != nil {
		end.err = errors.Join(lost, r.fetch(ctx, end.rep))
	}
	if end.err != nil || res.ExitCode != 0 || r.job.Keep != "" {
		if res.Kept, err = r.keep(end.rep); err != nil {
			end.err = errors.Join(end.err, err)
		}
	}
	if end.err != nil || res.ExitCode != 0 {
		res.ConsoleTail = r.consoleTail(30)
	}
	return res, end.err
}

// wait returns when the job has reported, the guest has died, or time is over.
func (r *run) wait(ctx context.Context, q *qemuProcess) outcome {
	type received struct {
		rep *report
		err error
	}
	reports := make(chan received, 1)
	go func() {
		dir := r.path("report")
		err := os.Mkdir(dir, 0o755)
		var rep *report
		if err == nil {
			rep, err = readReport(r.result, dir)
		}
		reports <- received{rep, err}
	}()
	timeout := time.NewTimer(r.job.Timeout)
	defer timeout.Stop()
	var grace <-chan time.Time
	timedOut := false
	for {
		select {
		case <-ctx.Done():
			return outcome{err: ctx.Err()}
		case <-timeout.C:
			timedOut = true
			grace = time.After(stopGrace)
			// Fails only if QEMU is gone, which the next turn notices.
			_, _ = io.WriteString(r.result, "stop\n")
		case <-grace:
			return outcome{timedOut: true}
		case got := <-reports:
			if got.err == nil {
				return outcome{rep: got.rep, timedOut: timedOut}
			}
			// A report that breaks off usually means that the guest is dying: its exit says more.
			select {
			case <-q.exited:
			case <-time.After(5 * time.Second):
				return outcome{err: got.err}
			}
			return r.died(q, timedOut)
		case <-q.exited:
			// The report may still be in the socket: a job that ends in poweroff has it there.
			select {
			case got := <-reports:
				if got.err == nil {
					return outcome{rep: got.rep, timedOut: timedOut}
				}
			case <-time.After(5 * time.Second):
			}
			return r.died(q, timedOut)
		}
	}
}

// died says why QEMU ended before the job reported.
func (r *run) died(q *qemuProcess, timedOut bool) outcome {
	if timedOut {
		return outcome{timedOut: true}
	}
	if q.err != nil {
		qemuLog, _ := os.ReadFile(r.path("qemu.log"))
		return outcome{err: fmt.Errorf("QEMU failed: %w\n%s", q.err, indent(lastLines(string(qemuLog), 10)))}
	}
	console := r.consoleTail(math.MaxInt32)
	for line := range strings.Lines(console) {
		if _, why, ok := strings.Cut(line, "Kernel panic - not syncing: "); ok {
			return outcome{err: fmt.Errorf("the guest's kernel panicked: %s", strings.TrimSpace(why))}
		}
		if _, why, ok := strings.Cut(line, "vm-init: "); ok {
			return outcome{err: fmt.Errorf("the guest did not boot: %s", strings.TrimSpace(why))}
		}
	}
	return outcome{err: errors.New("the guest stopped before the job ended (a reboot or poweroff inside the job?)")}
}

// drain waits until all that the guest wrote to the out port has reached the job's writer. QEMU must live
// until then: it may hold output that the socket had no room for.
func (r *run) drain(rep *report) error {
	deadline := time.After(drainGrace)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for r.received.Load() < rep.output {
		select {
		case <-tick.C:
			continue
		case err := <-r.outDone:
			if err != nil {
				return fmt.Errorf("pass on the job's output: %w", err)
			}
		case <-deadline:
		}
		break
	}
	if got := r.received.Load(); got != rep.output {
		return fmt.Errorf("the job wrote %d bytes of output and %d arrived", rep.output, got)
	}
	return nil
}

// shutdown ends a guest whose disk is kept.
func (r *run) shutdown(ctx context.Context, q *qemuProcess) error {
	if _, err := io.WriteString(r.result, "off\n"); err != nil {
		return fmt.Errorf("ask the guest to shut down: %w", err)
	}
	select {
	case <-q.exited:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(shutdownGrace):
		return fmt.Errorf("the guest did not shut down within %s", shutdownGrace)
	}
}
