package daemon

import (
	"errors"
	"fmt"
	"os"

	"github.com/hostarmor/hostarmor/daemon/control"
	"github.com/hostarmor/hostarmor/lsm"
)

// Release lifts what a daemon left in force, as before the package is removed:
// nothing is left then that could lift it, and with [protect] self nobody else
// may. It fails where a daemon answers on the socket, which is that one's to
// stop.
func Release(e lsm.Enforcer, socket string) error {
	if socket == "" {
		socket = control.Path
	}
	l, err := control.Listen(socket)
	if err != nil {
		return fmt.Errorf("lift enforcement: %w", err)
	}
	defer os.Remove(socket)
	defer l.Close()
	if _, err := e.Probe(); errors.Is(err, lsm.ErrUnsupported) {
		return nil // nothing can be in force
	} else if err != nil {
		return fmt.Errorf("lift enforcement: %w", err)
	}
	if err := e.Release(); err != nil {
		return fmt.Errorf("lift enforcement: %w", err)
	}
	return nil
}
