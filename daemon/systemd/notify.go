package systemd

import (
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"
)

// Notifier speaks sd_notify(3). Without systemd every call does nothing.
type Notifier struct{}

// Ready says that the first look at the policies is done, and text for
// `systemctl status`.
func (Notifier) Ready(text string) error { return send("READY=1\nSTATUS=" + text) }

// Status sets the text that `systemctl status` shows.
func (Notifier) Status(text string) error { return send("STATUS=" + text) }

// Stopping says that the daemon is on its way out.
func (Notifier) Stopping() error { return send(sd.SdNotifyStopping) }

// Alive is the watchdog's keep-alive.
func (Notifier) Alive() error { return send(sd.SdNotifyWatchdog) }

// Watchdog is how often systemd expects Alive at least, 0 = it does not.
func (Notifier) Watchdog() time.Duration {
	d, err := sd.SdWatchdogEnabled(false)
	if err != nil {
		return 0
	}
	return d
}

func send(state string) error {
	_, err := sd.SdNotify(false, state)
	return err
}
