package dialect

import (
	"encoding/json"
	"strconv"
)

// writer writes JSON without building what it writes first. It puts the commas.
type writer struct {
	b     []byte
	comma bool // the next key or element is not the first
}

// open begins an object or an array.
func (w *writer) open(bracket byte) {
	w.separate()
	w.b = append(w.b, bracket)
	w.comma = false
}

// close ends it.
func (w *writer) close(bracket byte) {
	w.b = append(w.b, bracket)
	w.comma = true
}

func (w *writer) separate() {
	if w.comma {
		w.b = append(w.b, ',')
	}
	w.comma = true
}

// key writes the name of a member, whose value follows.
func (w *writer) key(name string) {
	w.separate()
	w.b = append(appendJSON(w.b, name), ':')
	w.comma = false
}

// text writes a string.
func (w *writer) text(s string) {
	w.separate()
	w.b = appendJSON(w.b, s)
}

// raw writes a value as it is.
func (w *writer) raw(value []byte) {
	w.separate()
	w.b = append(w.b, value...)
}

// whole writes an integer.
func (w *writer) whole(n int64) {
	w.separate()
	w.b = strconv.AppendInt(w.b, n, 10)
}

// flag writes true or false.
func (w *writer) flag(is bool) {
	w.separate()
	w.b = strconv.AppendBool(w.b, is)
}

// literal writes true, false, null or a constant.
func (w *writer) literal(s string) {
	w.separate()
	w.b = append(w.b, s...)
}

// member writes a member whose value is a string.
func (w *writer) member(name, value string) {
	w.key(name)
	w.text(value)
}

// optional writes a member with a value as it is, if there is one.
func (w *writer) optional(name string, value json.RawMessage) {
	if len(value) > 0 {
		w.key(name)
		w.raw(value)
	}
}

// members writes members as they are.
func (w *writer) members(all []Member) {
	for _, m := range all {
		w.key(m.Name)
		w.raw(m.Value)
	}
}
