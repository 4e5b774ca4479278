// Package watch says "look again" when something changed that could change the
// policy set. It never says what: a reader that trusts an event's content is a
// reader that misses an event.
//
// Directories are watched, not files, because editors and configuration
// management replace files. Every directory that a look passes through is
// watched for the names that the look used: the parents of a directory that
// does not exist yet or is deleted and made again, the place of each symbolic
// link, the target's directory. So a swap of `..data` on the way counts as
// much as a write to the file.
//
// Changes are collected until they pause, and no longer than a cap, so that a
// program that never stops writing cannot put off the look for ever.
package watch
