// Package daemon keeps the kernel enforcing what the policy directories say.
//
// One goroutine owns all state. Everything that happens (a file changes, the
// mount table changes, a signal, a timer, a request on the control socket, the
// end of the boot) only tells it to look again; it then loads, validates,
// compiles and prepares, all of which can fail and touches nothing, and at
// last commits, which is short and atomic. After any error the previous set is
// in force, whole, and all problems are reported once.
//
// The loop feeds the watchdog itself: a loop that hangs is restarted, and the
// kernel goes on enforcing meanwhile.
//
// What leaves enforcement in the kernel: a crash, a kill, a restart, an
// upgrade, a shutdown, and anything that is not plainly a `systemctl stop`.
package daemon
