package handler

import (
	"strconv"
	"strings"
	"time"
)

// preferences are what a client says of how it likes its answer (RFC 7240).
type preferences struct {
	// async: a job instead of an answer will do ("respond-async", section 4.1).
	async bool
	// wait is how long it will wait, if waits is set ("wait", section 4.3), in whole seconds.
	wait  time.Duration
	waits bool
}

// readPreferences reads the header Prefer. Of a preference that is given more than
// once, the first counts (section 2), and what cannot be read is as good as not there.
func readPreferences(prefer []string) (p preferences) {
	waited := false
	for _, line := range prefer {
		for line != "" {
			var preference string
			preference, line = cutPreference(line)
			name, value, _ := strings.Cut(preference, "=")
			switch name = strings.TrimSpace(name); {
			case strings.EqualFold(name, "respond-async"):
				p.async = true
			case strings.EqualFold(name, "wait") && !waited:
				waited = true
				if seconds, err := strconv.ParseUint(strings.Trim(strings.TrimSpace(value), `"`), 10, 31); err == nil {
					p.wait, p.waits = time.Duration(seconds)*time.Second, true
				}
			}
		}
	}
	return p
}

// cutPreference returns the first preference of a list, without its parameters, and
// the rest of the list. What stands in quotes separates nothing.
func cutPreference(list string) (preference, rest string) {
	quoted, end := false, -1
	for i := 0; i < len(list); i++ {
		switch c := list[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted:
			i++
		case quoted:
		case c == ';' && end < 0:
			end = i
		case c == ',':
			if end < 0 {
				end = i
			}
			return list[:end], list[i+1:]
		}
	}
	if end < 0 {
		end = len(list)
	}
	return list[:end], ""
}
