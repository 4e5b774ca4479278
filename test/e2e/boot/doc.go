// Package boot tests what only a reboot shows (build tag vm): it runs on the
// host and boots one machine several times from one disk.
package boot
