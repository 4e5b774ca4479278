// Package control is the daemon's only way in: HTTP and JSON over a Unix
// socket, so that `curl --unix-socket` works. There is no TCP listener.
//
//	GET  /v1/status                what is enforced; see package status
//	POST /v1/reload                look at the policies now; 200, or 409 with all problems
//	GET  /v1/events?recent=N&follow=1   events as JSON lines
//	GET  /v1/version
//
// The socket's mode admits root alone, and each connection's peer is asked of
// the kernel as well: a mode can be changed, or the socket be handed on.
package control
