package main

import (
	"fmt"

	"github.com/spf13/cobra"

	versions "github.com/hostarmor/hostarmor/daemon/version"
)

func newVersion(dial dialer) *cobra.Command {
	var out format
	c := &cobra.Command{
		Use:   "version",
		Short: "Version, commit and schema",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			mine := versions.Of(version, commit)
			answer := struct {
				versions.Info
				Daemon *versions.Info `json:"daemon,omitempty"` // of the one that runs, where it can be asked
			}{Info: mine}
			if v, err := dial().Version(c.Context()); err == nil {
				answer.Daemon = &v
			}
			if out.json() {
				return printJSON(c.OutOrStdout(), answer)
			}
			_, err := fmt.Fprintf(c.OutOrStdout(), "%s, schema %d\n", mine, mine.Schema)
			if d := answer.Daemon; err == nil && d != nil && (d.Version != mine.Version || d.Commit != mine.Commit) {
				_, err = fmt.Fprintf(c.OutOrStdout(), "the daemon that runs is %s (restart it with: systemctl restart hostarmor)\n", d)
			}
			return written(err)
		},
	}
	out.flag(c)
	return c
}
