package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// requestCase is a body as some client might send it. @MODEL@ stands for the
// JSON string that names the model and @OPTIONS@ for the value of stream_options.
type requestCase struct {
	path    string
	body    string
	token   string // how the client writes the model; %s is its name; default "up/%s"
	options string
	adds    bool // the gateway has to ask for usage in the client's place
}

const (
	chatPath        = "/v1/chat/completions"
	completionsPath = "/v1/completions"
	embeddingsPath  = "/v1/embeddings"
	responsesPath   = "/v1/responses"
)

var requestCorpus = map[string]requestCase{
	"plain": {path: chatPath, body: `{"model":@MODEL@,"messages":[{"role":"user","content":"hi"}]}`},
	"unknown fields and decoys of the model": {path: chatPath,
		body: `{"metadata":{"model":"decoy","stream":true},"x_vendor":{"a":[1,2,{"model":1}]},"models":"decoy","model ":"decoy","_model":"decoy","model":@MODEL@,"messages":[{"role":"user","content":"\"model\":\"decoy\""}],"zzz":null}`},
	"numbers that no float holds": {path: chatPath,
		body: `{"seed":12345678901234567890123456789,"model":@MODEL@,"a":1e400,"b":-0,"c":1E+2,"d":0.1000000000000000055511151231257827021181583404541015625,"e":-1.5e-400,"f":100000000000000000000.0,"messages":[]}`},
	"pretty-printed with tabs and CRLF": {path: chatPath,
		body: "\r\n {\r\n\t\"messages\" : [ { \"content\" : \"hi\" , \"role\" : \"user\" } ] ,\r\n\t\"model\" :\t@MODEL@ ,\r\n\t\"n\" : 1\r\n}\r\n \t"},
	"the model last": {path: chatPath, body: `{"messages":[{"role":"user","content":"hi"}],"temperature":0.70,"model":@MODEL@}`},
	"duplicate keys in nested objects": {path: chatPath,
		body: `{"model":@MODEL@,"logit_bias":{"5":1,"5":2},"metadata":{"k":"a","k":"b","model":"x","model":"y"},"messages":[{"role":"user","role":"user","content":"hi"}]}`},
	"escapes, surrogates and a NUL": {path: chatPath,
		body: `{"model":@MODEL@,"messages":[{"role":"user","content":"\ud83c\udf0d \uD800 \udc00 \u0000 \/ \b\f\n\r\t \\u0041 caf\u00e9 \u2028"}]}`},
	"raw unicode of every width": {path: chatPath,
		body: "{\"model\":@MODEL@,\"messages\":[{\"role\":\"user\",\"content\":\"é 漢 🌍 \u2028\u2029 \ufeff \u007f e\u0301\"}],\"clé\":1}"},
	"the model name in escapes":          {path: chatPath, token: `"\u0075p\/%s"`, body: `{"messages":[],"model":@MODEL@}`},
	"the key model in a string":          {path: chatPath, body: `{"a":"\\\"model\\\":\\\"x\\\"","b":"model","c":["model","stream"],"model":@MODEL@,"messages":[]}`},
	"fifty levels of nesting":            {path: chatPath, body: `{"x":` + strings.Repeat(`{"a":[`, 25) + strings.Repeat(`]}`, 25) + `,"model":@MODEL@,"messages":[]}`},
	"a megabyte of text":                 {path: chatPath, body: `{"messages":[{"role":"user","content":"` + strings.Repeat("naïve 🌍 \\\"quoted\\\" ", 50_000) + `"}],"model":@MODEL@}`},
	"stream false":                       {path: chatPath, body: `{"stream":false,"model":@MODEL@,"messages":[]}`},
	"tools with a schema":                {path: chatPath, body: `{"model":@MODEL@,"tools":[{"type":"function","function":{"name":"f","strict":true,"parameters":{"$defs":{"z":{"type":"string"},"a":{"type":"integer","maximum":9007199254740993}},"type":"object","properties":{"model":{"$ref":"#/$defs/z"},"stream":{"type":"boolean"}},"required":["model"],"additionalProperties":false}}}],"messages":[]}`},
	"embeddings of tokens":               {path: embeddingsPath, body: `{"input":[[1, 2,3],[4]],"model":@MODEL@,"encoding_format":"base64"}`},
	"a response":                         {path: responsesPath, body: `{"input":[{"role":"user","content":[{"type":"input_text","text":"hi"}]}],"model":@MODEL@,"text":{"format":{"type":"text"}}}`},
	"a streamed response":                {path: responsesPath, body: `{"input":"hi","model":@MODEL@,"stream":true}`},
	"a legacy completion":                {path: completionsPath, body: `{"prompt":"hi","model":@MODEL@,"best_of":2}`},
	"another path with a model":          {path: "/v1/images/generations", body: `{"prompt":"a cat","model":@MODEL@,"n":1}`},
	"a stream that asks":                 {path: chatPath, body: `{"model":@MODEL@,"stream":true,"stream_options":{"include_usage":true},"messages":[]}`},
	"a stream that asks, spaced":         {path: chatPath, body: `{ "stream_options" : { "x" : 1 , "include_usage" : true } , "stream" : true , "model" : @MODEL@ , "messages" : [ ] }`},
	"a stream that does not ask":         {path: chatPath, body: `{"model":@MODEL@,"stream":true,"messages":[]}`, adds: true},
	"a stream with stream last":          {path: chatPath, body: "{\n \"messages\": [],\n \"model\": @MODEL@,\n \"stream\": true\n}\n", adds: true},
	"a stream with stream first":         {path: chatPath, body: `{"stream":true,"messages":[{"role":"user","content":"stream_options"}],"model":@MODEL@}`, adds: true},
	"a streamed completion":              {path: completionsPath, body: `{"model":@MODEL@,"prompt":"hi","stream":true}`, adds: true},
	"a stream with empty options":        {path: chatPath, body: `{"model":@MODEL@,"stream_options":@OPTIONS@,"stream":true,"messages":[]}`, options: `{}`, adds: true},
	"a stream with spaced empty options": {path: chatPath, body: `{"model":@MODEL@,"stream_options": @OPTIONS@ ,"stream":true,"messages":[]}`, options: `{ }`, adds: true},
	"a stream with null options":         {path: chatPath, body: `{"stream_options":@OPTIONS@,"model":@MODEL@,"stream":true,"messages":[]}`, options: `null`, adds: true},
	"a stream that asks not to":          {path: chatPath, body: `{"model":@MODEL@,"stream":true,"stream_options":@OPTIONS@,"messages":[]}`, options: `{"include_usage":false}`, adds: true},
	"a stream with other options":        {path: chatPath, body: `{"model":@MODEL@,"stream":true,"stream_options":@OPTIONS@,"messages":[]}`, options: `{"include_obfuscation":false,"x":[1,{"include_usage":true}]}`, adds: true},
	"options without a stream":           {path: chatPath, body: `{"model":@MODEL@,"stream_options":{"include_usage":false},"messages":[]}`},
}

// TestRequestFidelity is that the upstream receives what the client sent, byte
// for byte, save the model name and the request for usage.
func TestRequestFidelity(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	g := start(t, oneProvider(up))
	n := 0
	for name, c := range requestCorpus {
		n++
		key := fmt.Sprintf("req-%d", n)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.run(t, g, up, key)
		})
	}
	t.Run("a name that needs no splice changes nothing", func(t *testing.T) {
		t.Parallel()
		body := "{ \"model\" : \"b\\u0061re\" , \"messages\" : [ ] , \"n\" : 1e0 }\n"
		route := up.on("bare", playJSON(200, `{}`))
		g.post(t, chatPath, body)
		if got := string(route.next(t).Body); got != body {
			t.Error(difference(got, body))
		}
	})
}

func (c requestCase) run(t *testing.T, g *gateway, up *upstream, key string) {
	token := c.token
	if token == "" {
		token = `"up/%s"`
	}
	fill := func(model, options string) string {
		return strings.NewReplacer("@MODEL@", model, "@OPTIONS@", options).Replace(c.body)
	}
	route := up.on(key, func(x *exchange) {
		if c.adds {
			playSSE(chatEvents(key, "hi"), usageChunk(key, 1, 1), doneEvent)(x)
			return
		}
		x.json(200, `{}`)
	})
	sent := fill(fmt.Sprintf(token, key), c.options)
	a := g.post(t, c.path, sent)
	if a.StatusCode != 200 {
		t.Fatalf("status %d: %s", a.StatusCode, a.Body)
	}
	x := route.next(t)
	if x.Req.URL.Path != c.path {
		t.Errorf("the upstream path is %s", x.Req.URL.Path)
	}
	if ct := x.Req.Header.Get("Content-Type"); ct != "application/json" {
		t.Errorf("the upstream Content-Type is %q", ct)
	}
	got, model := string(x.Body), strconv.Quote(key)
	switch {
	case !c.adds:
		if want := fill(model, c.options); got != want {
			t.Error(difference(got, want))
		}
	case c.options == "":
		wantInserted(t, got, fill(model, ""))
	default:
		wantOptions(t, got, fill(model, "@OPTIONS@"), c.options)
	}
}

// wantInserted fails the test unless got is want with the request for usage put
// in somewhere, one comma included, and valid JSON.
func wantInserted(t *testing.T, got, want string) {
	t.Helper()
	const member = `"stream_options":{"include_usage":true}`
	if strings.Count(got, member) != 1 {
		t.Fatalf("the upstream is not asked for usage once: %s", got)
	}
	before := strings.Replace(got, ","+member, "", 1)
	after := strings.Replace(got, member+",", "", 1)
	if before != want && after != want {
		t.Error(difference(before, want))
	}
	var asked struct {
		StreamOptions struct {
			IncludeUsage bool `json:"include_usage"`
		} `json:"stream_options"`
	}
	if err := json.Unmarshal([]byte(got), &asked); err != nil || !asked.StreamOptions.IncludeUsage {
		t.Errorf("error %v: %s", err, got)
	}
}

// wantOptions fails the test unless got is frame with options at @OPTIONS@, and
// those are the client's but for include_usage.
func wantOptions(t *testing.T, got, frame, options string) {
	t.Helper()
	before, after, _ := strings.Cut(frame, "@OPTIONS@")
	rest, ok := strings.CutPrefix(got, before)
	value, ok2 := strings.CutSuffix(rest, after)
	if !ok || !ok2 {
		t.Fatal(difference(got, frame))
	}
	want := map[string]any{}
	_ = json.Unmarshal([]byte(options), &want)
	if want == nil {
		want = map[string]any{}
	}
	want["include_usage"] = true
	have := map[string]any{}
	if err := json.Unmarshal([]byte(value), &have); err != nil {
		t.Fatalf("stream_options is %s: %v", value, err)
	}
	whole, _ := json.Marshal(want)
	// The count tells a key that was set from one that was added a second time.
	twice := strings.Count(value, `"include_usage"`) != strings.Count(string(whole), `"include_usage"`)
	if fmt.Sprint(have) != fmt.Sprint(want) || twice {
		t.Errorf("stream_options is %s, the client's was %s", value, options)
	}
}

// difference shows where two texts part.
func difference(got, want string) string {
	i := 0
	for i < len(got) && i < len(want) && got[i] == want[i] {
		i++
	}
	window := func(s string) string { return strconv.Quote(s[max(0, min(i, len(s))-60):min(len(s), i+120)]) }
	return fmt.Sprintf("%d and %d bytes differ from byte %d on\n got: …%s\nwant: …%s", len(got), len(want), i, window(got), window(want))
}

// TestOtherPathsAreRelayedUntouched covers what the gateway has no opinion on: any
// content type, method, query and status.
func TestOtherPathsAreRelayedUntouched(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	g := start(t, oneProvider(up))
	binary := string(noise(200_000))
	for name, c := range map[string]struct {
		method, path, contentType, body string
		status                          int
		answerType, answer              string
	}{
		"a multipart form":        {"POST", "/v1/images/edits", `multipart/form-data; boundary="b 1"`, "--b 1\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\ngpt\r\n--b 1--\r\n", 200, "application/json", `{"created":1,"model":"x"}`},
		"bytes of no known type":  {"POST", "/v1/uploads/u1/parts", "application/octet-stream", binary, 200, "application/json", `{ "id" : "part_1" }`},
		"a body without a type":   {"PUT", "/v1/blobs/1", "", "\x00\x01", 201, "text/plain", "made"},
		"an answer of raw audio":  {"POST", "/v1/audio/speech", "application/json", `{"input":"hi","voice":"alloy","model":"tts"}`, 200, "audio/mpeg", binary},
		"a query with escapes":    {"GET", "/v1/files?limit=2&after=x%2Fy+z&metadata[k]=%22v%22&empty", "", "", 200, "application/json", `{"object":"list","data":[]}`},
		"a path with escapes":     {"GET", "/v1/files/a%2Fb%20c/content", "", "", 200, "application/octet-stream", "\xff\xfe\x00"},
		"a deletion":              {"DELETE", "/v1/files/file-1", "", "", 200, "application/json", `{"deleted":true}`},
		"an answer without body":  {"DELETE", "/v1/responses/resp_1", "", "", 204, "", ""},
		"an error without a form": {"GET", "/v1/nowhere", "", "", 404, "text/html", "<h1>Not Found</h1>"},
	} {
		t.Run(name, func(t *testing.T) {
			path, _, _ := strings.Cut(strings.NewReplacer("%2F", "/", "%20", " ").Replace(c.path), "?")
			answer := func(x *exchange) {
				if c.status == 204 {
					x.head(204)
					return
				}
				x.answer(c.status, c.answerType, c.answer, "X-Thing: 1")
			}
			route := up.on(path, answer)
			if strings.Contains(c.body, `"model":"tts"`) {
				route = up.on("tts", answer)
			}
			var headers []string
			if c.contentType != "" {
				headers = append(headers, "Content-Type: "+c.contentType)
			}
			a := g.do(t, c.method, c.path, c.body, headers...)
			x := route.next(t)
			if line, _, _ := strings.Cut(string(x.Head), "\r\n"); line != c.method+" "+c.path+" HTTP/1.1" {
				t.Errorf("the upstream got %q", line)
			}
			if string(x.Body) != c.body || x.Req.Header.Get("Content-Type") != c.contentType {
				t.Errorf("%s: %s", x.Req.Header.Get("Content-Type"), difference(string(x.Body), c.body))
			}
			if a.StatusCode != c.status || a.Body != c.answer || a.Header.Get("Content-Type") != c.answerType || a.Err != nil {
				t.Errorf("status %d, type %q, error %v: %s", a.StatusCode, a.Header.Get("Content-Type"), a.Err, difference(a.Body, c.answer))
			}
		})
	}
}

// TestUploadsStream is that an upload is not held back: the upstream reads its
// start while the client still owes the rest.
func TestUploadsStream(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	g := start(t, oneProvider(up))
	first, second := string(noise(100_000)), strings.Repeat("z", 100_000)
	began := make(chan bool, 1)
	route := up.onHead("/v1/audio/transcriptions", func(x *exchange) {
		half := make([]byte, len(first))
		_, err := io.ReadFull(x.Req.Body, half)
		began <- err == nil && string(half) == first
		x.readBody()
		x.json(200, `{"text":"hi"}`)
	})
	pr, pw := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+g.site+"/v1/audio/transcriptions", pr)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "multipart/form-data; boundary=x")
	go func() {
		_, _ = io.WriteString(pw, first)
		if <-began { // else the pipe breaks and the request fails
			_, _ = io.WriteString(pw, second)
			_ = pw.Close()
		}
		_ = pw.CloseWithError(io.ErrUnexpectedEOF)
	}()
	res, err := g.shared().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if x := route.next(t); res.StatusCode != 200 || x.BodyErr != nil || string(x.Body) != second {
		t.Errorf("status %d, the rest of the upload: %d bytes, error %v", res.StatusCode, len(x.Body), x.BodyErr)
	}
}
