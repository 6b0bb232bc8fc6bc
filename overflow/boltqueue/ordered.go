package boltqueue

import "slices"

// chunkSize is how many entries a chunk of an ordered list holds at most. A chunk
// is what an insertion moves at worst: 4 KiB.
const chunkSize = 512

// ordered keeps entries in the order of before. Insertion, removal and rank take a few
// hundred nanoseconds with 100,000 entries, first takes none. It is not safe for
// concurrent use. An entry's fields that before reads must not change while it is in there.
type ordered struct {
	before func(a, b *entry) bool
	chunks [][]*entry // none is empty
	n      int
}

// find returns where e is, or would be inserted.
func (o *ordered) find(e *entry) (chunk, pos int) {
	chunk = search(len(o.chunks), func(i int) bool {
		c := o.chunks[i]
		return !o.before(c[len(c)-1], e)
	})
	if chunk == len(o.chunks) {
		return chunk, 0
	}
	c := o.chunks[chunk]
	return chunk, search(len(c), func(i int) bool { return !o.before(c[i], e) })
}

// search returns the least i below n for which f is true, or n.
func search(n int, f func(i int) bool) int {
	low, high := 0, n
	for low < high {
		if mid := (low + high) / 2; f(mid) {
			high = mid
		} else {
			low = mid + 1
		}
	}
	return low
}

// insert adds e, which must not be in there.
func (o *ordered) insert(e *entry) {
	o.n++
	chunk, pos := o.find(e)
	if chunk == len(o.chunks) { // behind all others, as most are
		if last := chunk - 1; last >= 0 && len(o.chunks[last]) < chunkSize {
			o.chunks[last] = append(o.chunks[last], e)
		} else {
			o.chunks = append(o.chunks, []*entry{e})
		}
		return
	}
	if c := o.chunks[chunk]; len(c) == chunkSize {
		half := chunkSize / 2
		o.chunks[chunk] = slices.Clone(c[:half])
		o.chunks = slices.Insert(o.chunks, chunk+1, slices.Clone(c[half:]))
		if pos > half {
			chunk, pos = chunk+1, pos-half
		}
	}
	o.chunks[chunk] = slices.Insert(o.chunks[chunk], pos, e)
}

// remove takes e out, if it is in there.
func (o *ordered) remove(e *entry) {
	chunk, pos := o.find(e)
	if chunk == len(o.chunks) || pos == len(o.chunks[chunk]) || o.chunks[chunk][pos] != e {
		return
	}
	o.n--
	if o.chunks[chunk] = slices.Delete(o.chunks[chunk], pos, pos+1); len(o.chunks[chunk]) == 0 {
		o.chunks = slices.Delete(o.chunks, chunk, chunk+1)
	}
}

// rank returns how many are before e.
func (o *ordered) rank(e *entry) int {
	chunk, pos := o.find(e)
	for _, c := range o.chunks[:chunk] {
		pos += len(c)
	}
	return pos
}

// first returns the first entry, or nil.
func (o *ordered) first() *entry {
	if o.n == 0 {
		return nil
	}
	return o.chunks[0][0]
}

// all yields every entry in order.
func (o *ordered) all(yield func(*entry) bool) {
	for _, c := range o.chunks {
		for _, e := range c {
			if !yield(e) {
				return
			}
		}
	}
}

// backward returns the up to n entries before e, the last first. A nil e is behind all.
func (o *ordered) backward(e *entry, n int) []*entry {
	chunk, pos := len(o.chunks), 0
	if e != nil {
		chunk, pos = o.find(e)
	}
	var found []*entry
	for len(found) < n {
		if pos == 0 {
			if chunk--; chunk < 0 {
				break
			}
			pos = len(o.chunks[chunk])
		}
		pos--
		found = append(found, o.chunks[chunk][pos])
	}
	return found
}
