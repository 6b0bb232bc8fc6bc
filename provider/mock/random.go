package mock

// random is a generator of numbers that look random (SplitMix64). It is ours
// so that a reply stays the same from one Go version to the next.
type random uint64

func (r *random) next() uint64 {
	*r += 0x9e3779b97f4a7c15
	z := uint64(*r)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// below returns a number in [0, n).
func (r *random) below(n int) int { return int(r.next() % uint64(n)) }

// fraction returns a number in [0, 1).
func (r *random) fraction() float64 { return float64(r.next()>>11) / (1 << 53) }

// id returns prefix and n letters or digits.
func (r *random) id(prefix string, n int) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	id := append(make([]byte, 0, len(prefix)+n), prefix...)
	for range n {
		id = append(id, letters[r.below(len(letters))])
	}
	return string(id)
}

const hashOfNothing = 14695981039346656037

// hash adds s to h (FNV-1a). It marks the end of s, so that "a", "b" and "ab", ""
// differ.
func hash(h uint64, s string) uint64 {
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return (h ^ 0xff) * 1099511628211
}
