package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

var seedOnce = sync.OnceValue(func() uint64 {
	if n, err := strconv.ParseUint(os.Getenv("RUNESTONE_SEED"), 10, 64); err == nil {
		return n
	}
	return uint64(time.Now().UnixNano())
})

// seed is the start of this run's random numbers, printed so that RUNESTONE_SEED
// can repeat them.
func seed(t testing.TB) uint64 {
	t.Helper()
	if t.Failed() {
		t.Logf("RUNESTONE_SEED=%d repeats this", seedOnce())
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("RUNESTONE_SEED=%d repeats this", seedOnce())
		}
	})
	return seedOnce()
}

// randomCuts are n places in ascending order strictly inside length.
func randomCuts(rng *rand.Rand, length, n int) []int {
	if length < 2 {
		return nil
	}
	at := map[int]bool{}
	for range n {
		at[1+rng.IntN(length-1)] = true
	}
	var cuts []int
	for i := range length {
		if at[i] {
			cuts = append(cuts, i)
		}
	}
	return cuts
}

// randomCases is how many of each campaign are run.
const randomCases = 100

// TestRandomStreams makes up event streams and how they are cut.
func TestRandomStreams(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	g := start(t, oneProvider(up))
	rng := rand.New(rand.NewPCG(seed(t), 2))
	t.Logf("RUNESTONE_SEED=%d", seedOnce())
	for i := range randomCases {
		c := answerCase{body: randomStream(rng), asks: rng.IntN(3) == 0}
		if c.asks {
			c.body = strings.NewReplacer("@USAGE[", "", "]@", "").Replace(c.body)
		}
		key := fmt.Sprintf("random-%d", i)
		r := newRelayed(g, up, key, c, true)
		for range 3 {
			r.check(t, delivery{cuts: randomCuts(rng, len(c.sent(key)), rng.IntN(8)), framed: []framing{chunked, closing}[rng.IntN(2)]})
		}
	}
}

// randomStream is a template of a chat stream: events, comments and line ends at random.
func randomStream(rng *rand.Rand) string {
	ends := []string{"\n", "\r\n", "\r"}
	one := ends[rng.IntN(3)]
	end := func() string { // mostly of one kind, as real servers are
		if rng.IntN(8) == 0 {
			return ends[rng.IntN(2)]
		}
		return one
	}
	var b strings.Builder
	event := func(data string) {
		if rng.IntN(6) == 0 {
			b.WriteString(": " + randomText(rng) + end())
		}
		if rng.IntN(8) == 0 {
			b.WriteString("event: message" + end())
		}
		b.WriteString("data:" + strings.Repeat(" ", rng.IntN(3)) + data)
		line := end()
		blank := line
		if line == "\r\n" {
			blank = one
		}
		b.WriteString(line + blank)
	}
	for range 1 + rng.IntN(6) {
		event(randomChunk(rng, "null"))
	}
	event(randomChunk(rng, `"stop"`))
	if rng.IntN(2) == 0 {
		b.WriteString("@USAGE[")
		b.WriteString(`data: {"model":"@M@","choices":[],"usage":{"prompt_tokens":1}}` + "\n\n]@")
	}
	b.WriteString("data: [DONE]\n\n")
	return b.String()
}

// randomChunk is a chat chunk with its members in random order and unknown ones among them.
func randomChunk(rng *rand.Rand, finish string) string {
	members := []string{
		`"model":` + randomSpace(rng) + `"@M@"`,
		fmt.Sprintf(`"choices":[{"index":0,"delta":{"content":%s},"finish_reason":%s}]`, randomString(rng), finish),
		`"id":"c"`,
	}
	for range rng.IntN(4) {
		members = append(members, fmt.Sprintf(`"x%d"%s:%s`, len(members), randomSpace(rng), randomJSON(rng, 3)))
	}
	rng.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
	return "{" + randomSpace(rng) + strings.Join(members, ","+randomSpace(rng)) + randomSpace(rng) + "}"
}

// TestRandomRequests makes up request bodies.
func TestRandomRequests(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	g := start(t, oneProvider(up))
	rng := rand.New(rand.NewPCG(seed(t), 3))
	t.Logf("RUNESTONE_SEED=%d", seedOnce())
	for i := range randomCases {
		members := []string{`"model"` + randomSpace(rng) + `:` + randomSpace(rng) + `@MODEL@`, `"messages":` + randomJSON(rng, 2)}
		adds := rng.IntN(2) == 0
		if adds {
			members = append(members, `"stream":`+randomSpace(rng)+`true`)
		}
		for range rng.IntN(6) {
			members = append(members, fmt.Sprintf(`%s"x%d":%s`, randomSpace(rng), len(members), randomJSON(rng, 4)))
		}
		rng.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
		c := requestCase{path: chatPath, adds: adds,
			body: randomSpace(rng) + "{" + strings.Join(members, randomSpace(rng)+",") + randomSpace(rng) + "}" + randomSpace(rng)}
		c.run(t, g, up, fmt.Sprintf("random-request-%d", i))
		if t.Failed() {
			t.Fatalf("case %d: %s", i, c.body)
		}
	}
}

func randomJSON(rng *rand.Rand, depth int) string {
	kind := rng.IntN(7)
	if depth == 0 {
		kind = rng.IntN(5)
	}
	switch kind {
	case 0:
		return []string{"true", "false", "null"}[rng.IntN(3)]
	case 1:
		return []string{"0", "-0", "1e400", "-1.5E-7", "18446744073709551616", "0.10", "9007199254740993"}[rng.IntN(7)]
	case 2, 3, 4:
		return randomString(rng)
	}
	open, shut := "[", "]"
	var members []string
	for range rng.IntN(4) {
		members = append(members, randomJSON(rng, depth-1))
	}
	if kind == 6 {
		open, shut = "{", "}"
		for i := range members {
			key := []string{`"model"`, `"stream"`, `"choices"`, `"usage"`, `""`, `"\"model\":"`, `"k"`}[rng.IntN(7)]
			members[i] = key + randomSpace(rng) + ":" + randomSpace(rng) + members[i]
		}
	}
	return open + randomSpace(rng) + strings.Join(members, randomSpace(rng)+","+randomSpace(rng)) + randomSpace(rng) + shut
}

func randomString(rng *rand.Rand) string { return `"` + randomText(rng) + `"` }

// randomText is the inside of a JSON string, without line ends.
func randomText(rng *rand.Rand) string {
	parts := []string{"a", " ", "é", "漢", "🌍", "\u2028", `\"`, `\\`, `\/`, `\u0000`, `\ud83c\udf0d`, `\ud800`, `\n`, "{", "}", "[", "]", ",", ":",
		`\"model\":\"x\"`, "data: [DONE]", `\"choices\":[]`, "word "}
	var b strings.Builder
	for range rng.IntN(8) {
		b.WriteString(parts[rng.IntN(len(parts))])
	}
	return b.String()
}

func randomSpace(rng *rand.Rand) string { return []string{"", "", "", " ", "  ", "\t"}[rng.IntN(6)] }
