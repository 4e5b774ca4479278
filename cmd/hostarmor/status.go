package main

import (
	"github.com/spf13/cobra"
)

func newStatus(dial dialer) *cobra.Command {
	var out format
	c := &cobra.Command{
		Use:   "status",
		Short: "What is enforced, what is not, and why",
		Long: `Shows what enforces, the policies with the hits of each rule, files that were
refused, rules that are NOT ENFORCED, and where disk and kernel differ.

Exit code 0: all that was asked for is in force. 1: something is not.
3: the daemon cannot be asked.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := dial().Status(c.Context())
			if err != nil {
				return failure{err}
			}
			if out.json() {
				err = printJSON(c.OutOrStdout(), s)
			} else {
				err = written(s.Text(c.OutOrStdout(), terminal(c.OutOrStdout())))
			}
			if err == nil && !s.Clean() {
				return exit(exitWrong)
			}
			return err
		},
	}
	out.flag(c)
	return c
}
