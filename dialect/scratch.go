package dialect

import "sync"

// scratches are buffers of translations, so that each long prompt does not leave some to the collector.
var scratches sync.Pool

// maxScratch bounds what is kept, in bytes: a larger one is rare.
const maxScratch = 1 << 20

// scratch returns an empty buffer with room for size bytes.
func scratch(size int) []byte {
	if b, ok := scratches.Get().(*[]byte); ok {
		if cap(*b) >= size {
			return (*b)[:0]
		}
		if size > maxScratch {
			scratches.Put(b)
		}
	}
	return make([]byte, 0, size)
}

// Recycle gives back the memory of a [Translation]'s Body, which nothing may use afterwards. Whoever does
// not call it leaves that to the collector.
func Recycle(body []byte) {
	if c := cap(body); c >= 1<<10 && c <= maxScratch {
		body = body[:0]
		scratches.Put(&body)
	}
}
