package dashboard

import (
	"strings"
	"sync"
)

// How much is kept of what is listed one by one.
const (
	errorsKept      = 100
	transitionsKept = 256
)

// failure is a request that was not answered as it should be. It holds nothing of what was
// asked or answered, nor who asked.
type failure struct {
	At       int64   `json:"at"` // milliseconds since 1970
	Route    string  `json:"route"`
	Provider string  `json:"provider"`
	Model    string  `json:"model"`
	Key      string  `json:"key,omitempty"` // its name
	Status   int     `json:"status"`
	Outcome  string  `json:"outcome"`
	Code     string  `json:"code,omitempty"`
	Duration float64 `json:"seconds"`
	Attempts int     `json:"attempts"`
}

// transition is a change of a breaker.
type transition struct {
	At       int64   `json:"at"` // milliseconds since 1970
	Provider string  `json:"provider"`
	Model    string  `json:"model"` // "" for all that are not configured
	State    string  `json:"state"` // that it changed to
	OpenFor  float64 `json:"open_for_seconds,omitempty"`
}

// maxCode is how long an error's code may be.
const maxCode = 64

// codeOf returns an error's code if it looks like one. It may be a provider's, who could write
// anything there, and anything is not shown.
func codeOf(code string) string {
	if len(code) > maxCode {
		return ""
	}
	for i := range len(code) {
		switch c := code[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-', c == '.':
		default:
			return ""
		}
	}
	return strings.Clone(code)
}

// journal keeps the latest entries. It is safe for concurrent use.
type journal[T any] struct {
	size    int
	mu      sync.Mutex
	entries []T
	next    int
	number  uint64 // how many there have been
}

func (j *journal[T]) add(entry T) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.number++
	if len(j.entries) < j.size {
		j.entries = append(j.entries, entry)
		return
	}
	j.entries[j.next] = entry
	j.next = (j.next + 1) % j.size
}

// latest returns the entries, the newest first, and how many there have been in all.
func (j *journal[T]) latest() (entries []T, number uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	entries = make([]T, 0, len(j.entries))
	for i := range j.entries {
		at := (j.next + len(j.entries) - 1 - i) % len(j.entries)
		entries = append(entries, j.entries[at])
	}
	return entries, j.number
}

// count returns how many entries there have been.
func (j *journal[T]) count() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.number
}
