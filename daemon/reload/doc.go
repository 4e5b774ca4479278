// Package reload turns the policy directories into a compiled set, all or
// nothing: everything that can be wrong with files is found here, before
// anything that is in force is touched.
//
// At a reload any error refuses the whole set. At the daemon's start there may
// be nothing in force to fall back on, so Recover takes, for each file that is
// broken, the content that was last in force, and leaves out what has none.
package reload
