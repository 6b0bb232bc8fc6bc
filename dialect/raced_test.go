//go:build race

package dialect

// raced is whether the race detector watches.
const raced = true
