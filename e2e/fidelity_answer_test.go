package e2e

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// delivery is how an upstream sends one answer: where its bytes are cut into
// writes that the gateway reads one by one, and how the answer's end is marked.
type delivery struct {
	cuts   []int
	framed framing
}

type framing int

const (
	chunked  framing = iota // every piece a chunk
	measured                // Content-Length
	closing                 // the end is the end of the connection
)

// cut returns body in pieces.
func (d delivery) cut(body string) []string {
	var pieces []string
	at := 0
	for _, c := range d.cuts {
		pieces = append(pieces, body[at:c])
		at = c
	}
	return append(pieces, body[at:])
}

// send answers with body. Between two writes it waits until the gateway has read
// the first, so that it has to work with what it has.
func (d delivery) send(x *exchange, contentType, body string) {
	head := []string{"Content-Type: " + contentType}
	switch d.framed {
	case chunked:
		head = append(head, "Transfer-Encoding: chunked")
	case measured:
		head = append(head, fmt.Sprint("Content-Length: ", len(body)))
	case closing:
		head = append(head, "Connection: close")
	}
	text := headText(200, head...)
	for i, p := range d.cut(body) {
		if i > 0 {
			x.write(text)
			x.taken()
			text = ""
		}
		if d.framed == chunked && p != "" {
			p = fmt.Sprintf("%x\r\n%s\r\n", len(p), p)
		}
		text += p
	}
	if d.framed == chunked {
		text += "0\r\n\r\n"
	}
	x.write(text)
	if d.framed == closing {
		x.fin()
	}
}

// relayed is an answer under test, ready to be delivered in many ways.
type relayed struct {
	g          *gateway
	path, ask  string
	want, tail string
	deliveries chan delivery
}

// newRelayed scripts c at the upstream under the model key.
func newRelayed(g *gateway, up *upstream, key string, c answerCase, stream bool) *relayed {
	asked := "up/" + key
	r := &relayed{g: g, path: c.path, ask: c.request(asked, stream), want: c.received(key, asked), tail: c.tail, deliveries: make(chan delivery, 1)}
	if r.path == "" {
		r.path = chatPath
	}
	contentType := "application/json"
	if stream {
		contentType = "text/event-stream"
	}
	body := c.sent(key)
	up.on(key, func(x *exchange) { (<-r.deliveries).send(x, contentType, body) })
	return r
}

// check has the answer delivered like d and compares what the client gets.
func (r *relayed) check(t *testing.T, d delivery) {
	t.Helper()
	r.deliveries <- d
	a := r.g.post(t, r.path, r.ask)
	got := a.Body
	if r.tail != "" && len(got) > len(r.want) {
		got = strings.TrimSuffix(got, r.tail[:min(len(r.tail), len(got)-len(r.want))])
	}
	if a.StatusCode != 200 || a.Err != nil || got != r.want {
		t.Fatalf("cut at %v, framing %d: status %d, error %v: %s", d.cuts, d.framed, a.StatusCode, a.Err, difference(a.Body, r.want))
	}
}

// TestAnswerFidelity is that the client receives what the upstream sent, byte for
// byte, save the model name and the usage event it did not ask for, however the
// answer is cut into reads: at every single byte for the short answers, at
// random places for the long.
func TestAnswerFidelity(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	g := start(t, oneProvider(up))
	for _, corpus := range []struct {
		name   string
		cases  map[string]answerCase
		stream bool
	}{{"stream", streamCorpus, true}, {"plain", plainCorpus, false}} {
		n := 0
		for name, c := range corpus.cases {
			n++
			key := fmt.Sprintf("%s-%d", corpus.name, n)
			t.Run(corpus.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				splitEverywhere(t, newRelayed(g, up, key, c, corpus.stream), len(c.sent(key)), c.long, corpus.stream)
			})
		}
	}
}

func splitEverywhere(t *testing.T, r *relayed, length int, long, stream bool) {
	framings := []framing{chunked, closing}
	if !stream {
		framings = append(framings, measured)
	}
	for _, f := range framings {
		r.check(t, delivery{framed: f})
	}
	rng := rand.New(rand.NewPCG(seed(t), 1))
	for i := range 10 {
		r.check(t, delivery{cuts: randomCuts(rng, length, 1+rng.IntN(12)), framed: framings[i%len(framings)]})
	}
	if long {
		return
	}
	for at := 1; at < length; at++ {
		r.check(t, delivery{cuts: []int{at}})
	}
}

// TestAnswersKeepTheRequestedName covers the names that no splice by "up/" covers.
func TestAnswersKeepTheRequestedName(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		more, ask, answers, want string
	}{
		"a dated snapshot becomes the model's name":    {"", "smart", "gpt-upstream-2025-08-07", "smart"},
		"an alias is answered with the alias":          {"", "fast", "gpt-upstream", "fast"},
		"a bare name that is answered stays":           {"", "gpt-upstream", "gpt-upstream", "gpt-upstream"},
		"report_model upstream leaves the answer be":   {"report_model upstream", "smart", "gpt-upstream-2025-08-07", "gpt-upstream-2025-08-07"},
		"a longer name than the provider's is spliced": {"alias a-very-long-alias-for-this-model-indeed smart", "a-very-long-alias-for-this-model-indeed", "gpt-upstream", "a-very-long-alias-for-this-model-indeed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			up := newUpstream(t)
			g := start(t, oneProvider(up, c.more))
			up.on("gpt-upstream", func(x *exchange) {
				if strings.Contains(string(x.Body), `"stream":true`) {
					playSSE(chatEvents(c.answers, "hi"), usageChunk(c.answers, 1, 1), doneEvent)(x)
					return
				}
				x.json(200, chatJSON(c.answers, "hi"))
			})
			if got, want := g.post(t, chatPath, chatBody(c.ask, "")).Body, chatJSON(c.want, "hi"); got != want {
				t.Error(difference(got, want))
			}
			if got, want := g.post(t, chatPath, streamBody(c.ask)).Body, chatEvents(c.want, "hi")+doneEvent; got != want {
				t.Error(difference(got, want))
			}
		})
	}
}

// TestStreamHeaders is what every client and proxy needs to see of a stream.
func TestStreamHeaders(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	g := start(t, oneProvider(up))
	up.on("head", func(x *exchange) {
		x.sse("X-Ratelimit-Remaining-Requests: 59", "Openai-Processing-Ms: 12", "Set-Cookie: secret=1", "Keep-Alive: timeout=5")
		x.chunk(chatEvents("head", "hi") + "\ufeff\n\n" + doneEvent)
		x.end()
	})
	a := g.post(t, chatPath, streamBody("up/head"), "X-Request-Id: req-of-the-client-1", "Accept-Encoding: gzip, br")
	for name, want := range map[string]string{
		"Content-Type":                   "text/event-stream",
		"Content-Encoding":               "",
		"Content-Length":                 "",
		"Cache-Control":                  "no-cache",
		"X-Accel-Buffering":              "no",
		"X-Request-Id":                   "req-of-the-client-1",
		"Runestone-Provider":             "up",
		"Runestone-Model":                "up/head",
		"Runestone-Attempts":             "1",
		"Keep-Alive":                     "",
		"X-Ratelimit-Remaining-Requests": "59",
	} {
		if got := a.Header.Get(name); got != want && !(want != "" && strings.HasPrefix(got, want)) {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

// TestNoByteOrderMark: of a mark at the start of a stream Python's SDK makes a lost
// first event, so the gateway takes it off.
func TestNoByteOrderMark(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	g := start(t, oneProvider(up))
	r := newRelayed(g, up, "bom", answerCase{body: "\ufeff" + lines("\n", role, "", finish, "", "data: [DONE]", "")}, true)
	r.want = strings.TrimPrefix(r.want, "\ufeff")
	for _, cuts := range [][]int{nil, {1}, {2}, {3}, {4}, {1, 2, 3}} {
		r.check(t, delivery{cuts: cuts})
	}
}

// TestRequestHeaders is which of the client's headers may go upstream.
func TestRequestHeaders(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	g := start(t, oneProvider(up))
	route := up.on("headers", playJSON(200, `{}`))
	g.post(t, chatPath, chatBody("up/headers", ""),
		"Authorization: Bearer sk-of-the-client", "X-Api-Key: sk-of-the-client", "Api-Key: sk-of-the-client",
		"X-Goog-Api-Key: sk-of-the-client", "Cookie: session=sk-of-the-client", "Accept-Encoding: gzip", "Proxy-Authorization: sk-of-the-client",
		"Openai-Beta: assistants=v2", "Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "X-Private: 1")
	x := route.next(t)
	if strings.Contains(string(x.Head), "sk-of-the-client") {
		t.Errorf("a credential of the client went upstream: %s", x.Head)
	}
	for name, want := range map[string]string{
		"Authorization": "Bearer " + upstreamKey, "Openai-Beta": "assistants=v2", "X-Private": "",
		"Traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	} {
		if got := x.Req.Header.Get(name); got != want {
			t.Errorf("%s is %q upstream, want %q", name, got, want)
		}
	}
	if enc := x.Req.Header.Get("Accept-Encoding"); enc != "" && enc != "identity" {
		t.Errorf("the gateway asks for the coding %q, which it would have to undo", enc)
	}
	if x.Req.Host != up.ln.Addr().String() {
		t.Errorf("Host is %q upstream", x.Req.Host)
	}
}
