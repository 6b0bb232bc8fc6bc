package dialect

import "strings"

// adjustments are the names of parameters that were left out or changed, each once and in order. The client is told of them
// in a header, and most of the names are its own: what is beyond the bounds is told as [moreAdjusted].
type adjustments struct {
	names nameSet
	size  int // of the names in bytes
	full  bool
}

// The bounds of adjustments: how many names there are and how long they are together, and one of them, in bytes.
const (
	maxAdjusted     = 64
	maxAdjustedSize = 2 << 10
	maxAdjustedName = 128
)

// moreAdjusted stands for names, and ends of names, that are not listed.
const moreAdjusted = "..."

func (a *adjustments) adjust(name string) {
	if a.full {
		return
	}
	if len(name) > maxAdjustedName {
		name = strings.ToValidUTF8(name[:maxAdjustedName], "") + moreAdjusted
	}
	if a.names.has(name) {
		return
	}
	if a.full = len(a.names.list) == maxAdjusted || a.size+len(name) > maxAdjustedSize; a.full {
		name = moreAdjusted
	}
	a.names.add(name)
	a.size += len(name)
}

// adjusted returns the names.
func (a *adjustments) adjusted() []string { return a.names.list }
