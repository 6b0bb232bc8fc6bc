package dialect

import (
	"slices"
	"strings"
)

// adjustments are the names of parameters that were left out or changed, each once and in order. The client is told of them
// in a header, and most of the names are its own: what is beyond the bounds is told as [moreAdjusted].
type adjustments struct {
	adjusted []string
	known    map[string]bool // once there are many
	size     int             // of the names in bytes
	full     bool
}

// The bounds of adjustments: how many names there are and how long they are together, and one of them, in bytes.
const (
	maxAdjusted      = 64
	maxAdjustedSize  = 2 << 10
	maxAdjustedName  = 128
	searchedAdjusted = 8 // up to so many a search is quicker than a map
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
	if a.has(name) {
		return
	}
	if a.full = len(a.adjusted) == maxAdjusted || a.size+len(name) > maxAdjustedSize; a.full {
		name = moreAdjusted
	}
	a.adjusted = append(a.adjusted, name)
	a.size += len(name)
	if a.known != nil {
		a.known[name] = true
	}
}

func (a *adjustments) has(name string) bool {
	if len(a.adjusted) <= searchedAdjusted {
		return slices.Contains(a.adjusted, name)
	}
	if a.known == nil {
		a.known = make(map[string]bool, maxAdjusted)
		for _, known := range a.adjusted {
			a.known[known] = true
		}
	}
	return a.known[name]
}
