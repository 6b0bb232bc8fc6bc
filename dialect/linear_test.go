package dialect

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/runestone-gateway/runestone/sse"
)

// The work of a translation must grow with what is translated and not faster: a body of some megabytes would burn a core for
// minutes. Each shape is translated twice, the second time with linearTimes as much, which may take
// linearSlack times what that would be; twice the work for each of n items in n would take linearTimes times it.
const (
	linearItems = 32
	linearTimes = 32
	linearSlack = 4
	linearTries = 8 // the machine may have something else to do
)

// cost is what work takes, the least of what was measured.
type cost struct {
	took  time.Duration
	bytes uint64
}

func (c *cost) measure(work func()) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := busy()
	work()
	took := busy() - start
	runtime.ReadMemStats(&after)
	bytes := after.TotalAlloc - before.TotalAlloc
	if c.took == 0 || took < c.took {
		c.took = took
	}
	if c.bytes == 0 || bytes < c.bytes {
		c.bytes = bytes
	}
}

func TestTheWorkGrowsNoFasterThanWhatIsTranslated(t *testing.T) { // alone, as it measures
	if raced {
		t.Skip("the race detector's own work would be measured")
	}
	for _, shape := range linearShapes() {
		t.Run(shape.name, func(t *testing.T) {
			runtime.LockOSThread() // of which busy tells
			defer runtime.UnlockOSThread()
			little, much := shape.make(t, linearItems), shape.make(t, linearItems*linearTimes)
			little() // what is made once is made
			var small, large cost
			for range linearTries {
				small.measure(little)
				large.measure(much)
				if large.took <= linearTimes*linearSlack*small.took && large.bytes <= linearTimes*linearSlack*small.bytes {
					return
				}
			}
			t.Errorf("%d times as much took %v instead of %v and %d bytes of memory instead of %d",
				linearTimes, large.took, small.took, large.bytes, small.bytes)
		})
	}
}

// linearShape makes work of n items, which can be done again.
type linearShape struct {
	name string
	make func(t *testing.T, n int) func()
}

func linearShapes() (shapes []linearShape) {
	for _, s := range linearRequests {
		for _, to := range [...]API{Chat, Messages, Gemini, GeminiEmbed} {
			if to == s.from || !Translates(s.from, to) || s.to != "" && s.to != to {
				continue
			}
			shapes = append(shapes, linearShape{fmt.Sprintf("%s of %s to %s", s.name, s.from, to), func(t *testing.T, n int) func() {
				body := []byte(s.body(n))
				if _, err := ScanOpenAI(body); err != nil {
					t.Fatal(err)
				}
				target := Target{Model: "gemini-2.0-flash", Quirks: &s.quirks}
				if to == Messages {
					target.Model = "claude-sonnet-4-5"
				}
				return func() { _, _ = Translate(s.from, to, body, &target) }
			}})
		}
	}
	for _, s := range linearAnswers {
		for _, from := range [...]API{Chat, Messages, Responses} {
			if from == s.to || !Translates(from, s.to) {
				continue
			}
			shapes = append(shapes, linearShape{fmt.Sprintf("%s of %s for %s", s.name, s.to, from), func(t *testing.T, n int) func() {
				body, events := []byte(s.body(n)), s.stream
				return func() { linearAnswer(t, from, s.to, body, events) }
			}})
		}
	}
	return append(shapes, linearShape{"a search for foreign thinking", func(_ *testing.T, n int) func() {
		body := []byte(`{"messages":[{"role":"assistant","content":[` + listed(n, func(int) string { return `{"type":"thinking","thinking":"a"}` }) + `]}]}`)
		return func() { ForeignThinking(body) }
	}})
}

// linearAnswer translates an answer, or the events of a stream.
func linearAnswer(t *testing.T, from, to API, body []byte, events bool) {
	request := `{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"a"}],"input":"a",` +
		`"tools":[{"type":"custom","name":"f","input_schema":{"type":"object"}}]}`
	if from == Chat {
		request = `{"messages":[{"role":"user","content":"a"}],"web_search_options":{}}`
	}
	tr, err := Translate(from, to, []byte(request), &Target{Model: "m"})
	if err != nil {
		t.Fatal(err)
	}
	if !events {
		_, _ = tr.Answers.Whole(nil, body)
		return
	}
	var out []byte
	for rest := body; len(rest) > 0; {
		n := sse.End(rest)
		e := sse.Parse(rest[:n])
		rest = rest[n:]
		if out, err = tr.Answers.Event(out[:0], e); err != nil {
			return // it has too much of something
		}
	}
	_, _ = tr.Answers.End(out[:0])
}

// listed returns n items with commas between them.
func listed(n int, item func(i int) string) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(item(i))
	}
	return b.String()
}
