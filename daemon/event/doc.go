// Package event is what the daemon tells the world: typed events, their
// sentence, and their way into the journal, a JSON-lines file and the control
// socket.
//
// Events are a contract and never go through slog. Nothing is dropped in
// silence: wherever a buffer can be full the number is counted and told in a
// `lost` event. Nothing here can hold up enforcement: the kernel writes
// denials into a ring buffer without waiting for anyone, and the daemon's own
// loop posts its events without blocking.
package event
