package dialect

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// The scan never differs from what a full decode would tell.
func TestScanOpenAIAgreesWithADecoder(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	scanned, seen := 0, needs{}
	for range 5000 {
		choices := make([]byte, random.IntN(400))
		for i := range choices {
			choices[i] = byte(random.Uint32())
		}
		n, ok := checkNeeds(t, choices)
		if !ok {
			continue
		}
		scanned++
		seen.tools, seen.vision = seen.tools || n.tools, seen.vision || n.vision
		seen.audio, seen.schema = seen.audio || n.audio, seen.schema || n.schema
		seen.input, seen.output = max(seen.input, n.input), max(seen.output, n.output)
	}
	if scanned < 2500 || !seen.tools || !seen.vision || !seen.audio || !seen.schema || seen.input == 0 || seen.output == 0 {
		t.Errorf("%d documents, with %+v, are no test", scanned, seen)
	}
}

func FuzzScanOpenAINeeds(f *testing.F) {
	f.Add([]byte("\x00\x01\x02\x06\x05\x03"))
	f.Add(bytes.Repeat([]byte{0, 7, 1, 6, 5, 2, 3, 0}, 40))
	f.Fuzz(func(t *testing.T, choices []byte) { checkNeeds(t, choices) })
}
