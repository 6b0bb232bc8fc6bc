package dashboard

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// A histogram counts durations in buckets, four to each doubling, so that a percentile is
// off by a tenth at most. The first holds all below 320 µs, the last all from half an hour on.
const (
	lowestShift = 8 // microseconds below 2^8 are not told apart
	buckets     = 92
)

// histogram is filled by any number of goroutines. Its counts wrap around; what matters is
// by how much they have grown.
type histogram [buckets]atomic.Uint32

func (h *histogram) observe(d time.Duration) { h[bucketOf(d)].Add(1) }

// bucketOf returns the bucket that a duration is in.
func bucketOf(d time.Duration) int {
	us := uint64(max(0, d.Microseconds()))
	if us < 1<<lowestShift {
		return 0
	}
	exp := bits.Len64(us) - 1
	quarter := int(us>>(exp-2)) & 3
	return min((exp-lowestShift)*4+quarter, buckets-1)
}

// lowerBound returns where a bucket begins, in seconds.
func lowerBound(i int) float64 {
	if i == 0 {
		return 0
	}
	return float64((4+uint64(i%4))<<(lowestShift+i/4-2)) / 1e6
}

// durations are the counts of a histogram over some time.
type durations [buckets]uint32

func (d *durations) add(other *durations) {
	for i, n := range other {
		d[i] += n
	}
}

func (d *durations) subtract(other *durations) {
	for i, n := range other {
		d[i] -= n
	}
}

// quantiles are those that are shown, in this order.
var quantiles = [...]float64{0.5, 0.95, 0.99}

// percentiles are the quantiles in seconds, all 0 if there was nothing to measure.
type percentiles [len(quantiles)]float32

func (d *durations) percentiles() (p percentiles) {
	var all uint64
	for _, n := range d {
		all += uint64(n)
	}
	if all == 0 {
		return p
	}
	var seen float64
	next := 0
	for i, n := range d {
		if n == 0 {
			continue
		}
		for next < len(quantiles) && seen+float64(n) >= quantiles[next]*float64(all) {
			within := (quantiles[next]*float64(all) - seen) / float64(n)
			low := lowerBound(i)
			p[next] = float32(low + within*(lowerBound(i+1)-low))
			next++
		}
		seen += float64(n)
	}
	return p
}
