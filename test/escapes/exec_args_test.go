//go:build e2e

package escapes

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// noShell denies the shell of the multi-call program, and leaves its other
// commands alone.
func noShell(c *ctx) string {
	return onHost("[process.secret]\npath = %q\nargs = [\"sh\"]\n", c.secret())
}

// applet is an attack that has the program be a shell; argv comes before "-c".
// Its unrelated access is another command of the same program, called alike.
func applet(name string, argv ...string) attack {
	return attack{name: name, setup: programs, policy: noShell,
		try: func(c *ctx) error { return c.start(c.target, shell(c, argv...)...) },
		fine: func(c *ctx) error {
			last := len(argv) - 1
			other := append(argv[:last:last], strings.TrimSuffix(argv[last], "sh")+"touch", c.mark())
			if strings.HasPrefix(argv[last], "-") {
				other = []string{"touch", c.mark()}
			}
			return c.start(c.secret(), other...)
		}}
}

func shell(c *ctx, argv ...string) []string {
	return append(argv[:len(argv):len(argv)], "-c", ": >"+c.mark())
}

// linked is an attack by another name of the program.
func linked(name string, link func(from, to string) error) attack {
	return attack{name: name, setup: programs, policy: noShell,
		try: func(c *ctx) error {
			if err := link(c.target, c.tmp("sh")); err != nil {
				return err
			}
			return c.start(c.tmp("sh"), shell(c, "sh")...)
		}}
}

func init() {
	register(
		applet("applet-argument", "busybox", "sh"),
		applet("applet-argument-path", "busybox", "/no/such/sh"),
		applet("applet-argument-twice", "busybox", "busybox", "sh"),
		applet("applet-long-name", "busybox-static", "sh"),
		applet("applet-name", "sh"),
		applet("applet-name-path", "/no/such/sh"),
		applet("applet-login-shell", "-sh"),
		linked("applet-symlink", os.Symlink),
		attack{name: "applet-hard-link", policy: noShell,
			setup: func(c *ctx) error {
				if err := programs(c); err != nil {
					return err
				}
				for _, name := range []string{"secret", "plain"} {
					if err := os.Mkdir(c.path(name), 0o755); err != nil {
						return err
					}
					if err := os.Link(c.vault+"/"+name, c.path(name+"/sh")); err != nil {
						return err
					}
				}
				return nil
			},
			try: func(c *ctx) error { return c.start(c.path(c.base()+"/sh"), shell(c, "sh")...) }},
		attack{name: "applet-script", setup: programs, policy: noShell,
			try: func(c *ctx) error {
				// The kernel hands the path of the interpreter over as its name.
				if err := os.Symlink(c.target, c.tmp("sh")); err != nil {
					return err
				}
				if err := script(c.tmp("script"), "#!"+c.tmp("sh")+"\n: >"+c.mark()+"\n"); err != nil {
					return err
				}
				return c.start(c.tmp("script"), "script")
			}},
		attack{name: "applet-by-another", setup: programs, policy: noShell,
			try: func(c *ctx) error {
				// Another command of the program starts the shell.
				cmd := &exec.Cmd{Path: c.target, Args: append([]string{"busybox", "env", c.tmp("sh")}, shell(c)...), Dir: "/"}
				if err := os.Symlink(c.target, c.tmp("sh")); err != nil {
					return err
				}
				return c.finish(cmd)
			}},
		attack{name: "applet-name-flips", policy: noShell,
			setup: func(c *ctx) error {
				if _, err := tool("race", "-static", "-pthread"); err != nil {
					return err
				}
				return programs(c)
			},
			try: func(c *ctx) error {
				race, err := tool("race")
				if err != nil {
					return err
				}
				// Under the rule every shell of them is refused; some were tried.
				for range 20 {
					out, err := exec.Command(race, c.target, c.mark(), "100").Output()
					if err != nil {
						return err
					}
					refused, err := strconv.Atoi(strings.TrimSpace(string(out)))
					switch {
					case err != nil:
						return err
					case c.ran() == nil:
						return nil
					case refused > 0:
						return fmt.Errorf("%d of 100 were refused: %w", refused, unix.EACCES)
					}
				}
				return fmt.Errorf("the name was never that of a shell")
			}},
	)
}
