package e2e

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openai/openai-go/v3/option"
)

// auth is the header with which a test's key is sent.
func auth(name string) string { return "Authorization: Bearer " + secretOf(name) }

// manage calls the admin endpoint's part about keys, and returns the secret of the answer if it has one.
func (g *gateway) manage(t testing.TB, method, path, body string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+g.admin+"/runestone/keys"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res, err := probe.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var issued struct{ Secret string }
	if err := json.NewDecoder(res.Body).Decode(&issued); err != nil || res.StatusCode >= 300 {
		t.Fatalf("%s %s: status %d, error %v", method, path, res.StatusCode, err)
	}
	return issued.Secret
}

// keyFile is a file of keys, which is only ever replaced at once.
type keyFile struct {
	t    testing.TB
	path string
}

func newKeyFile(t testing.TB, text string) keyFile {
	t.Helper()
	f := keyFile{t, filepath.Join(t.TempDir(), "keys.json")}
	f.replace(text)
	return f
}

func (f keyFile) replace(text string) {
	f.t.Helper()
	if err := os.WriteFile(f.path+".new", []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
	if err := os.Rename(f.path+".new", f.path); err != nil {
		f.t.Fatal(err)
	}
}

func sha256Of(text string) [sha256.Size]byte { return sha256.Sum256([]byte(text)) }

// hashedKey is a key of a file, whose secret is secretOf its name.
func hashedKey(name, more string) string {
	return fmt.Sprintf(`{"name":%q,"secrets":[{"sha256":"%x"}]%s}`, name, sha256Of(secretOf(name)), more)
}

// TestEndedKeysLookAlike: whoever has no valid key is told the same in the API that it uses, down to the names of
// the headers, so that nobody learns which keys there were.
func TestEndedKeysLookAlike(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	file := newKeyFile(t, hashedKey("filed", "")+hashedKey("filedoff", `,"disabled":true`)+hashedKey("filedended", `,"ends":"2021-01-01T00:00:00Z"`))
	s := withKeys(up, keyLine("good"), "key old {\nsecret {env.KEY_OLD} 2020-01-01T00:00:00Z\nsecret {env.KEY_GOOD2}\n}", keyLine("off", "disabled"),
		"keys {\nstored\nfile "+file.path+"\n}", deferring())
	s.Env = append(keyEnv("good", "old", "off"), "KEY_GOOD2="+secretOf("good2"))
	g := start(t, s)
	up.on("gpt-upstream", hello)
	revoked := g.manage(t, http.MethodPost, "", `{"name":"revoked"}`)
	g.manage(t, http.MethodPost, "/revoked/revoke", "")
	rotated := g.manage(t, http.MethodPost, "", `{"name":"rotated"}`)
	fresh := g.manage(t, http.MethodPost, "/rotated/rotate", "")
	ended := g.manage(t, http.MethodPost, "", `{"name":"ended","ends":"2020-01-01T00:00:00Z"}`)
	for _, valid := range []string{secretOf("good"), secretOf("good2"), secretOf("filed"), fresh} {
		wantHello(t, g.post(t, chatPath, chatBody("smart", ""), "Authorization: bearer "+valid), "smart", "up", 1)
		wantHello(t, g.post(t, chatPath, chatBody("smart", ""), "Authorization: Basic dXNlcjpwYXNz", "X-Api-Key: "+valid), "smart", "up", 1)
	}
	ways := map[string][]string{"none": nil, "an empty bearer": {"Authorization: Bearer"}, "another scheme": {"Authorization: Basic " + secretOf("good")}}
	for name, secret := range map[string]string{
		"unknown": "sk-unknown-0123456789", "of the form of ours": "rs_00000000000000000000000000000000000000000003MXEQK", "disabled": secretOf("off"),
		"a secret that has ended": secretOf("old"), "a key that has ended": ended, "revoked": revoked, "rotated away": rotated,
		"disabled in the file": secretOf("filedoff"), "ended in the file": secretOf("filedended"),
		"a hash": fmt.Sprintf("%x", sha256Of(secretOf("filed"))), "two in one": secretOf("good") + ", " + secretOf("good"), "too long": strings.Repeat("x", 4000),
		"a placeholder": "{env.KEY_GOOD}", "cut": secretOf("good")[:20], "longer": secretOf("good") + "0", "in capitals": strings.ToUpper(secretOf("good")),
	} {
		ways[name] = []string{"Authorization: Bearer " + secret}
		ways[name+", as x-api-key"] = []string{"X-Api-Key: " + secret}
	}
	before := up.requests()
	for route, body := range map[string]string{
		chatPath: chatBody("smart", ""), "/v1/responses": "{", "/v1/embeddings": `{"model":"smart","input":"x"}`, "/v1/files": "x", "/v1/no/such": "", "/v1/models": "",
		jobsPath + "job_00000000000000000000000000000000": "", messagesPath: `{"model":"smart"}`, messagesPath + "/count_tokens": `{}`,
	} {
		method := http.MethodPost
		if body == "" {
			method = http.MethodGet
		}
		var first *answer
		for way, headers := range ways {
			a := g.do(t, method, route, body, append([]string{"Content-Type: application/json", "X-Request-Id: same"}, headers...)...)
			a.Header.Del("Date")
			if first == nil {
				first = &a
			}
			if a.StatusCode != http.StatusUnauthorized || a.Body != first.Body || !headersEqual(a.Header, first.Header) {
				t.Errorf("%s: %s: %d %s %v\nothers: %s %v", route, way, a.StatusCode, a.Body, a.Header, first.Body, first.Header)
			}
		}
		if strings.HasPrefix(route, messagesPath) != strings.HasPrefix(first.Body, `{"type":"error","error":{"type":"authentication_error"`) {
			t.Errorf("%s: %s", route, first.Body)
		}
	}
	if up.requests() != before {
		t.Error("a provider was asked for somebody without a key")
	}
	if a := g.do(t, http.MethodGet, "/health/live", ""); a.StatusCode != http.StatusOK {
		t.Errorf("who watches it needs no key, and is answered %d", a.StatusCode)
	}
}

func headersEqual(a, b http.Header) bool {
	if len(a) != len(b) {
		return false
	}
	for name, values := range a {
		if !slices.Equal(values, b[name]) {
			return false
		}
	}
	return true
}

// TestStrangersAreNotReadFrom: who has no key is refused with the head of its request, whatever is to come after it.
func TestStrangersAreNotReadFrom(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	s := withKeys(up, keyLine("good"))
	s.Env = keyEnv("good")
	g := start(t, s)
	for name, head := range map[string]string{
		"a length":               "Content-Length: 5000000",
		"chunks":                 "Transfer-Encoding: chunked",
		"another key":            "Content-Length: 5000000\r\nAuthorization: Bearer sk-unknown-0123456789",
		"two keys":               "Content-Length: 5000000\r\nX-Api-Key: " + secretOf("good") + "\r\nX-Api-Key: " + secretOf("good"),
		"waiting to be told":     "Content-Length: 5000000\r\nExpect: 100-continue",
		"something that is none": "Content-Length: 5000000\r\nContent-Encoding: gzip",
	} {
		for _, path := range []string{chatPath, messagesPath, "/v1/files"} {
			t.Run(name+path, func(t *testing.T) {
				began := time.Now()
				conn := dialRaw(t, g)
				conn.send("POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n%s\r\n\r\n", path, g.site, head)
				if status := conn.status(); status != http.StatusUnauthorized || time.Since(began) > 3*time.Second {
					t.Errorf("status %d after %v", status, time.Since(began))
				}
			})
		}
	}
	eventually(t, patience, "requests are open that nobody reads", func() bool { return g.openRequests() == 0 })
}

// TestKeysAreBound: to models, by their names, aliases or beginnings, and to routes. What a key may not ask for is
// not there for it, and no way of writing a name leads around that.
func TestKeysAreBound(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	s := withKeys(up, "model other {\ntarget up/gpt-other\n}", "model gpt-4o {\ntarget up/gpt-4o\n}", "alias nick other",
		keyLine("smart", "models smart"), keyLine("nick", "models nick"), keyLine("prefix", "models gpt-*"), keyLine("all"),
		keyLine("chat", "routes chat"), keyLine("asks", "models smart", "routes chat messages other"))
	s.Env = keyEnv("smart", "nick", "prefix", "all", "chat", "asks")
	g := start(t, s)
	for _, model := range []string{"gpt-upstream", "gpt-other", "gpt-4o", "gpt-mini"} {
		up.on(model, hello)
	}
	up.on("/v1/models", playJSON(200, `{"object":"list","data":[{"id":"gpt-mini","object":"model","created":1,"owned_by":"x"},{"id":"secret-model","object":"model","created":1,"owned_by":"x"}]}`))
	up.on("/v1/files", playJSON(200, `{"id":"file-1"}`))
	lists := map[string]string{
		"smart": "fast smart", "nick": "nick", "prefix": "gpt-4o gpt-mini", "asks": "fast smart",
		"all": "fast gpt-4o nick other smart gpt-mini secret-model",
	}
	for name, want := range lists {
		var ids []string
		page := g.sdk(option.WithAPIKey(secretOf(name))).Models.ListAutoPaging(t.Context())
		for page.Next() {
			ids = append(ids, page.Current().ID)
		}
		if got := strings.Join(ids, " "); got != want || page.Err() != nil {
			t.Errorf("%s sees %s (error %v), want %s", name, got, page.Err(), want)
		}
		var anthropics struct{ Data []struct{ ID string } }
		a := g.do(t, http.MethodGet, "/v1/models", "", "X-Api-Key: "+secretOf(name), "Anthropic-Version: 2023-06-01")
		if err := json.Unmarshal([]byte(a.Body), &anthropics); err != nil || len(anthropics.Data) != len(strings.Fields(want)) {
			t.Errorf("%s sees %s as an Anthropic client, want %s", name, a.Body, want)
		}
		for _, model := range []string{"smart", "fast", "other", "nick", "gpt-4o", "gpt-mini", "secret-model"} {
			may := slices.Contains(strings.Fields(want), model)
			status := http.StatusOK
			if !may {
				status = http.StatusNotFound
			}
			if model != "secret-model" || !may { // which no test answers
				a := g.post(t, chatPath, chatBody(model, ""), auth(name))
				if a.StatusCode != status {
					t.Errorf("%s asks for %s: %d %s", name, model, a.StatusCode, a.Body)
				}
			}
			if model != "gpt-mini" && model != "secret-model" || !may {
				if a := g.do(t, http.MethodGet, "/v1/models/"+model, "", auth(name)); a.StatusCode != status {
					t.Errorf("%s asks about %s: %d %s", name, model, a.StatusCode, a.Body)
				}
			}
		}
		if a := g.post(t, chatPath, chatBody("up/gpt-upstream", ""), auth(name)); (a.StatusCode == http.StatusOK) != (name == "all") {
			t.Errorf("%s asks for the target itself: %d %s", name, a.StatusCode, a.Body)
		}
	}
	// What is refused says what it would say if there were no such model.
	refused, none := g.post(t, chatPath, chatBody("other", ""), auth("smart")), g.post(t, chatPath, chatBody("otter", ""), auth("smart"))
	if strings.ReplaceAll(none.Body, "otter", "other") != refused.Body {
		t.Errorf("a model that it may not ask for: %s\none that there is not: %s", refused.Body, none.Body)
	}
	for path, status := range map[string]int{
		chatPath: 200, "/v1/completions": 403, "/v1/embeddings": 403, "/v1/responses": 403, messagesPath: 403, messagesPath + "/count_tokens": 403, "/v1/files": 403, "/v1/models": 403,
	} {
		a := g.post(t, path, chatBody("smart", ""), auth("chat"))
		if a.StatusCode != status || status == 403 && !strings.Contains(a.Body, "permission_error") {
			t.Errorf("%s: %d %s", path, a.StatusCode, a.Body)
		}
	}
}

// TestBoundKeysCannotHideTheirModel: where a provider might find a model that the gateway has not found, a key that is bound to models is
// refused.
func TestBoundKeysCannotHideTheirModel(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	s := withKeys(up, keyLine("a", "models smart"), keyLine("b"), keyLine("c", "models smart", "routes chat other"), keyLine("d", "routes chat"))
	s.Env = keyEnv("a", "b", "c", "d")
	g := start(t, s)
	reached := 0
	for _, path := range []string{"/v1/images/generations", "/v1/files", "/v1/audio/transcriptions", "/v1/videos", "/v1/models/gpt-dear", "/v1/batches"} {
		up.on(path, playJSON(200, `{"ok":true}`))
	}
	up.on("gpt-upstream", hello)
	up.on("gpt-dear", func(x *exchange) { reached++; hello(x) })
	form := func(fields ...string) string {
		text := ""
		for _, f := range fields {
			name, value, _ := strings.Cut(f, "=")
			text += "--b\r\nContent-Disposition: form-data; name=\"" + name + "\"\r\n\r\n" + value + "\r\n"
		}
		return text + "--b--\r\n"
	}
	const plain, json, multipart = "Content-Type: text/plain", "Content-Type: application/json", "Content-Type: multipart/form-data; boundary=b"
	for name, c := range map[string]struct {
		path, kind, body string
		status           int // with the key that is bound
	}{
		"given twice":                   {chatPath, json, `{"model":"smart","model":"up/gpt-dear","messages":[]}`, 400},
		"given twice, in other letters": {chatPath, json, `{"model":"smart","Model":"up/gpt-dear","messages":[]}`, 400},
		"given twice, escaped":          {chatPath, json, `{"model":"smart","\u006dodel":"up/gpt-dear","messages":[]}`, 400},
		"other letters alone":           {"/v1/images/generations", json, `{"Model":"gpt-dear"}`, 400},
		"JSON that is called a text":    {"/v1/images/generations", plain, `{"model":"gpt-dear"}`, 415},
		"JSON that is called nothing":   {"/v1/images/generations", "X-Nothing: x", `{"model":"gpt-dear"}`, 415},
		"broken JSON":                   {"/v1/images/generations", json, `{"model":"gpt-dear",}`, 400},
		"with a byte order mark":        {"/v1/images/generations", json, "\ufeff" + `{"model":"gpt-dear"}`, 400},
		"packed":                        {"/v1/images/generations", json + "\nContent-Encoding: gzip", `{"model":"gpt-dear"}`, 415},
		"in a form":                     {"/v1/audio/transcriptions", multipart, form("model=gpt-dear"), 404},
		"in a form, as another's":       {"/v1/audio/transcriptions", multipart, form("purpose=x"), 400},
		"in a form that is none":        {"/v1/audio/transcriptions", multipart, `{"model":"gpt-dear"}`, 400},
		"in a form with an odd head":    {"/v1/audio/transcriptions", multipart, strings.Replace(form("model=gpt-dear"), "; name", ";\r\n name", 1), 404},
		"in a form, behind a file":      {"/v1/videos", multipart, form("file="+strings.Repeat("x", 100<<10), "model=gpt-dear"), 404},
		"in a form of another spelling": {"/v1/Audio/Transcriptions", multipart, form("model=gpt-dear"), 400},
		"a form without any":            {"/v1/files", multipart, form("purpose=batch", "file=x"), 403},
		"JSON without any":              {"/v1/batches", json, `{"input_file_id":"file-1"}`, 403},
		"further ones":                  {chatPath, json, `{"model":"smart","models":["up/gpt-dear"],"messages":[]}`, 400},
		"in the path":                   {"/v1/engines/gpt-dear/completions", json, chatBody("smart", ""), 404},
		"in Azure's path":               {"/v1/deployments/gpt-dear/chat/completions", json, chatBody("smart", ""), 404},
		"nothing to hide":               {chatPath, json, chatBody("smart", ""), 200},
	} {
		headers := strings.Split(c.kind, "\n")
		if a := g.do(t, http.MethodPost, c.path, c.body, append(headers, auth("a"))...); a.StatusCode != c.status {
			t.Errorf("%s: %d %s, want %d", name, a.StatusCode, a.Body, c.status)
		}
	}
	// One whose routes list other may make such calls, but for models that it may not ask for.
	for path, status := range map[string]int{"/v1/files": 200, "/v1/models/gpt-dear": 404} {
		if a := g.do(t, http.MethodDelete, path, "", auth("c")); a.StatusCode != status {
			t.Errorf("DELETE %s: %d %s, want %d", path, a.StatusCode, a.Body, status)
		}
	}
	if a := g.do(t, http.MethodPost, "/v1/files", form("purpose=batch", "file="+strings.Repeat("x", 100<<10)), multipart, auth("c")); a.StatusCode != http.StatusOK {
		t.Errorf("a large file: %d %s", a.StatusCode, a.Body)
	}
	// Answers that are stored are not chat's.
	if a := g.do(t, http.MethodGet, chatPath, "", auth("d")); a.StatusCode != http.StatusForbidden {
		t.Errorf("the stored answers: %d %s", a.StatusCode, a.Body)
	}
	if reached > 0 {
		t.Errorf("the model that it may not ask for was asked %d times", reached)
	}
	if a := g.do(t, http.MethodPost, "/v1/images/generations", `{"model":"gpt-dear"}`, plain, auth("b")); a.StatusCode != http.StatusOK {
		t.Errorf("a key that is not bound: %d %s", a.StatusCode, a.Body)
	}
}
