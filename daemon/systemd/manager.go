package systemd

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/coreos/go-systemd/v22/dbus"
)

// Manager asks PID 1, over its private socket: the message bus starts long
// after this daemon and stops before it.
type Manager struct{ unit string }

// NewManager asks on behalf of unit, "hostarmor.service".
func NewManager(unit string) *Manager { return &Manager{unit: unit} }

// Job is the type of the job that systemd runs for the unit now: "stop",
// "restart", "try-restart", ...; "" where there is none.
func (m *Manager) Job(ctx context.Context) (string, error) {
	conn, err := dbus.NewSystemdConnectionContext(ctx)
	if err != nil {
		return "", fmt.Errorf("connect to systemd: %w", err)
	}
	defer conn.Close()
	jobs, err := conn.ListJobsContext(ctx)
	if err != nil {
		return "", fmt.Errorf("list systemd's jobs: %w", err)
	}
	for _, j := range jobs {
		if j.Unit == m.unit {
			return j.JobType, nil
		}
	}
	return "", nil
}

// ShuttingDown reports whether the system is on its way down.
func (m *Manager) ShuttingDown(ctx context.Context) (bool, error) {
	state, err := property(ctx, "SystemState")
	return strings.Trim(state, `"`) == "stopping", err
}

// BootFinished reports whether the boot has completed: systemd sets the time
// once, when the last job of the boot is done.
func (m *Manager) BootFinished(ctx context.Context) (bool, error) {
	v, err := property(ctx, "FinishTimestampMonotonic")
	if err != nil {
		return false, err
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(v, "@t "), 10, 64)
	if err != nil {
		return false, fmt.Errorf("FinishTimestampMonotonic of systemd is %q: %w", v, err)
	}
	return n != 0, nil
}

// property reads one property of the manager in a goroutine: the library's
// call takes no context, and a PID 1 that does not answer must not stop the
// daemon's loop. Closing the connection ends the call.
func property(ctx context.Context, name string) (string, error) {
	conn, err := dbus.NewSystemdConnectionContext(ctx)
	if err != nil {
		return "", fmt.Errorf("connect to systemd: %w", err)
	}
	defer conn.Close()
	type answer struct {
		value string
		err   error
	}
	done := make(chan answer, 1)
	go func() {
		v, err := conn.GetManagerProperty(name)
		done <- answer{v, err}
	}()
	select {
	case <-ctx.Done():
		return "", fmt.Errorf("ask systemd for %s: %w", name, ctx.Err())
	case a := <-done:
		if a.err != nil {
			return "", fmt.Errorf("ask systemd for %s: %w", name, a.err)
		}
		return a.value, nil
	}
}
