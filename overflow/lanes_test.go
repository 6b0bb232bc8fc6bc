package overflow

import "testing"

// A lane that was found empty may have got a job since.
func TestALaneIsForgottenOnlyIfNothingWasAddedMeanwhile(t *testing.T) {
	t.Parallel()
	var l lanes
	in := lane{Request, "m"}
	if l.any() {
		t.Error("there are lanes at first")
	}
	l.add(in)
	added := l.list()[in]
	l.add(in) // while the queue is asked
	l.remove(in, added)
	if !l.any() || len(l.list()) != 1 {
		t.Error("the lane is forgotten")
	}
	l.remove(in, l.list()[in])
	if l.any() || len(l.list()) != 0 {
		t.Error("the lane is not forgotten")
	}
}
