package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/hostarmor/hostarmor/daemon/control"
)

func newUnlock(dial dialer) *cobra.Command {
	var out format
	var length time.Duration
	c := &cobra.Command{
		Use:   "unlock",
		Short: "Let policy files be changed for a while, where [protect] policies locks them",
		Long: `With [protect] policies = true the kernel refuses changes of policy files and
settings. This lifts that for a while; then they are locked again, also if the
daemon was restarted meanwhile. Both are events of kind "tamper", and
"hostarmor status" tells until when.

Exit code 0: unlocked, or nothing is locked. 1: it could not be put into force.
3: the daemon cannot be asked.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if length <= 0 || length > control.UnlockLimit {
				return fmt.Errorf("--for %s is not between 0 and %s", length, control.UnlockLimit)
			}
			u, err := dial().Unlock(c.Context(), length)
			var refused *control.Refusal
			switch {
			case errors.As(err, &refused):
				return tellRefusal(c, refused, out.json())
			case err != nil:
				return failure{err}
			case out.json():
				return printJSON(c.OutOrStdout(), u)
			case u.Until == nil:
				_, err = fmt.Fprintf(c.OutOrStdout(), "Nothing to unlock: %s.\n", u.Reason)
			default:
				_, err = fmt.Fprintf(c.OutOrStdout(), "Unlocked until %s.\n", u.Until.Local().Format(time.DateTime))
			}
			return written(err)
		},
	}
	out.flag(c)
	c.Flags().DurationVar(&length, "for", 10*time.Minute, "for how long, as 90s, 10m or 2h")
	complete(c, "for", "10m", "1h")
	return c
}
