// Package sse frames server-sent events (WHATWG HTML, section 9.2) without
// changing their bytes. A block is what one event is on the wire: its lines and
// the blank line that ends it.
package sse

import "bytes"

// End returns the length of the first complete block of b, or 0 when b holds
// none. Lines end in LF, CRLF or CR, mixed as the sender likes. A CR that ends
// b counts as a line end: where an LF follows later, it is a block of its own
// that holds nothing, so that no event waits for the byte after it.
func End(b []byte) int {
	for at := 0; ; {
		line := b[at:]
		i := bytes.IndexByte(line, '\n')
		if i >= 0 {
			line = line[:i]
		}
		if bytes.IndexByte(line, '\r') >= 0 { // which is looked for up to the end of the block only
			if n := endMixed(b[at:]); n > 0 {
				return at + n
			}
			return 0
		}
		if i < 0 {
			return 0
		}
		at += i + 1
		if i == 0 {
			return at
		}
	}
}

// endMixed is End for a buffer that has CRs in its first line.
func endMixed(b []byte) int {
	for start, i := 0, 0; i < len(b); {
		if b[i] != '\n' && b[i] != '\r' {
			i++
			continue
		}
		blank := i == start
		if b[i] == '\r' && i+1 < len(b) && b[i+1] == '\n' {
			i++
		}
		i++
		if blank {
			return i
		}
		start = i
	}
	return 0
}

// Event is what a block says.
type Event struct {
	// Name is the event's type, nil for the default, "message".
	Name []byte
	// Data is the lines of data joined by LF. It aliases the block where
	// there is one line.
	Data []byte
	// HasData tells an empty data field from none; an event without one is
	// not dispatched by clients that follow the standard.
	HasData bool
	// Fields is whether the block has any line that is neither blank nor a comment.
	Fields bool
}

// Parse reads a block. Unknown fields are passed over, as the standard asks.
func Parse(block []byte) (e Event) {
	lines := 0 // of data
	for len(block) > 0 {
		var line []byte
		line, block = cutLine(block)
		if len(line) == 0 || line[0] == ':' {
			continue
		}
		e.Fields = true
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(name) {
		case "event":
			e.Name = value
		case "data":
			switch lines++; lines {
			case 1:
				e.HasData, e.Data = true, value
				continue
			case 2: // all that may follow has room in the copy
				e.Data = append(make([]byte, 0, len(e.Data)+1+len(value)+len(block)), e.Data...)
			}
			e.Data = append(append(e.Data, '\n'), value...)
		}
	}
	return e
}

// cutLine splits b after its first line end and returns the line without it.
func cutLine(b []byte) (line, rest []byte) {
	i := bytes.IndexAny(b, "\r\n")
	switch {
	case i < 0:
		return b, nil
	case b[i] == '\r' && i+1 < len(b) && b[i+1] == '\n':
		return b[:i], b[i+2:]
	default:
		return b[:i], b[i+1:]
	}
}

// AppendData appends an event with the given data, which must hold no line end.
func AppendData(dst, data []byte) []byte {
	dst = append(dst, "data: "...)
	dst = append(dst, data...)
	return append(dst, "\n\n"...)
}

// AppendWithID appends a block whose event has an ID, in place of any that it has: the last one
// counts. A block that no blank line ends gets one. The ID must hold no line end.
func AppendWithID(dst, block []byte, id string) []byte {
	lines := bytes.TrimRight(block, "\r\n")
	if len(lines) > 0 {
		dst = append(append(dst, lines...), '\n')
	}
	dst = append(append(dst, "id: "...), id...)
	return append(dst, "\n\n"...)
}
