package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/hostarmor/hostarmor/daemon/control"
)

func newReload(dial dialer) *cobra.Command {
	var out format
	c := &cobra.Command{
		Use:   "reload",
		Short: "Load the policies now, and say whether they were taken",
		Long: `The daemon follows the files by itself. This waits for the result: the set is
taken whole, or refused with all its problems and the previous one kept.
It also arms policies again that the boot guard holds in audit.

Exit code 0: in force. 1: refused, or nothing can enforce. 3: the daemon cannot be asked.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			r, err := dial().Reload(c.Context())
			var refused *control.Refusal
			switch {
			case errors.As(err, &refused):
				return tellRefusal(c, refused, out.json())
			case err != nil:
				return failure{err}
			case !out.json():
				return tellReload(c, r)
			}
			if err := printJSON(c.OutOrStdout(), r); err != nil {
				return err
			}
			if r.Mode == "none" && r.Policies > 0 {
				return exit(exitWrong)
			}
			return nil
		},
	}
	out.flag(c)
	return c
}

func tellRefusal(c *cobra.Command, r *control.Refusal, asJSON bool) error {
	if asJSON {
		if err := printJSON(c.OutOrStdout(), r); err != nil {
			return err
		}
		return exit(exitWrong)
	}
	// On standard error: systemctl reload shows that, and nothing is done.
	w := c.ErrOrStderr()
	for _, p := range r.Problems {
		fmt.Fprintln(w, problemLine(p))
	}
	fmt.Fprintf(w, "hostarmor: %s; what was in force stays in force\n", r.Summary)
	return exit(exitWrong)
}

func tellReload(c *cobra.Command, r control.Reload) error {
	for _, p := range r.Problems {
		fmt.Fprintln(c.ErrOrStderr(), problemLine(p))
	}
	var err error
	w := c.OutOrStdout()
	switch {
	case r.Generation == 0 && r.Policies == 0:
		_, err = fmt.Fprintln(w, "No policies: nothing is enforced.")
	case r.Mode == "none":
		fmt.Fprintf(c.ErrOrStderr(), "hostarmor: %s read, but NOTHING is enforced. See: hostarmor status\n", count(r.Policies, "policy was", "policies were"))
		return exit(exitWrong)
	case r.Policies == 0:
		_, err = fmt.Fprintf(w, "No policies: only HostArmor's own protection is in force, generation %d%s.\n", r.Generation, auditNote(r.Mode))
	case r.Changed:
		_, err = fmt.Fprintf(w, "Loaded: %s, generation %d%s.\n", amount(r), r.Generation, auditNote(r.Mode))
	default:
		_, err = fmt.Fprintf(w, "Unchanged: %s, generation %d%s.\n", amount(r), r.Generation, auditNote(r.Mode))
	}
	return written(err)
}

func amount(r control.Reload) string {
	return count(r.Policies, "policy", "policies") + ", " + count(r.Rules, "rule", "rules")
}

func auditNote(mode string) string {
	if mode == "audit" {
		return ", AUDIT ONLY"
	}
	return ""
}
