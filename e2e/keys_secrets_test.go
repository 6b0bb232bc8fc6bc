package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/runestone-gateway/runestone/internal/redisserver"
)

// marked are secrets that must be nowhere, by what they are.
type marked map[string]string

// forms returns how a secret may be written.
func forms(secret string) map[string]string {
	all := map[string]string{
		"as it is": secret, "in hexadecimal": hex.EncodeToString([]byte(secret)), "in hexadecimal capitals": strings.ToUpper(hex.EncodeToString([]byte(secret))),
		"in part": secret[len(secret)/4 : len(secret)*3/4], "escaped": url.QueryEscape(secret), "as a list of bytes": strings.Trim(strings.ReplaceAll(fmt.Sprint([]byte(secret)), " ", ","), "[]"),
	}
	for before := range 3 { // within something longer, base64 has three ways
		text := append(bytes.Repeat([]byte("x"), before), secret...)
		for name, encoding := range map[string]*base64.Encoding{"in base64": base64.StdEncoding, "in URLs' base64": base64.URLEncoding} {
			encoded := encoding.EncodeToString(text)
			all[fmt.Sprint(name, ", ", before)] = encoded[4 : len(encoded)-4]
		}
	}
	return all
}

// wantNowhere fails the test if any of the secrets is in any of the places.
func (m marked) wantNowhere(t testing.TB, places map[string]string) {
	t.Helper()
	for what, secret := range m {
		for form, text := range forms(secret) {
			for where, content := range places {
				if i := strings.Index(content, text); i >= 0 {
					t.Errorf("%s has %s, %s: …%q", where, what, form, content[max(0, i-100):min(len(content), i+100)])
				}
			}
		}
	}
}

// places returns all that a gateway writes and shows.
func (g *gateway) places(t testing.TB) map[string]string {
	t.Helper()
	all := map[string]string{"stderr": g.stderr.String(), "stdout": g.stdout.String()}
	for _, path := range []string{"/metrics", "/config/", "/runestone/keys", "/runestone/status", "/runestone/jobs", "/debug/pprof/goroutine?debug=2", "/debug/pprof/heap?debug=1", "/debug/vars"} {
		all[path] = g.adminGet(path)
	}
	err := filepath.WalkDir(g.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Base(path) == "Caddyfile" || strings.Contains(path, "/given/") {
			return err
		}
		text, err := os.ReadFile(path)
		all[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// shippedFilter is the filter of the example's access log.
func shippedFilter(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile("../examples/keys.Caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "format filter {")
	filter, _, ended := strings.Cut(rest, "\n\t\t}")
	if !found || !ended || !strings.Contains(filter, "X-Api-Key") {
		t.Fatal("the example has no filter")
	}
	return "format filter {" + filter + "\n}"
}

// TestSecretsAreNowhere: keys of all kinds, providers' keys and those of callbacks and the queue are used in all ways, wrong ones too; then they are looked for.
func TestSecretsAreNowhere(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	hook := newHook(t)
	g := prepare(t)
	given := filepath.Join(g.dir, "given")
	if err := os.Mkdir(given, 0o700); err != nil {
		t.Fatal(err)
	}
	signing := []byte("MARKED-signing-of-callbacks-0123")
	secrets := marked{
		"a key of the environment": "MARKED-key-of-environment-01", "a key of a file": "MARKED-key-of-a-file-012345", "a key that is hashed": "MARKED-key-that-is-hashed-0",
		"a key of the key file": "MARKED-key-of-the-key-file-0", "an unknown key": "MARKED-key-that-is-unknown-0", "a key that has ended": "MARKED-key-that-has-ended-0",
		"a provider's key": "MARKED-key-of-the-provider-0", "a provider's key of a file": "MARKED-key-of-a-provider-02", "the queue's secret": "MARKED-secret-of-the-queue-012345678",
		"the callbacks' secret": "whsec_" + base64.StdEncoding.EncodeToString(signing), "the callbacks' key": string(signing),
		"a key in a query": "MARKED-key-in-the-query-0123",
	}
	write := func(name, text string) string {
		path := filepath.Join(given, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	keyFile := write("keys.json", fmt.Sprintf(`{"name":"filed","secrets":[{"sha256":"%x"}],"metadata":{"team":"billing"}}`, sha256Of(secrets["a key of the key file"])))
	s := diverted(oneProvider(up,
		"key env {\nsecret {env.CLIENT_KEY}\nlimits {\nrequests 6 1h\n}\n}",
		"key file {\nsecret {file."+write("client", secrets["a key of a file"])+"}\n}",
		fmt.Sprintf("key hashed {\nsecret_sha256 %x\n}", sha256Of(secrets["a key that is hashed"])),
		"key ended {\nsecret {env.ENDED_KEY} 2020-01-01T00:00:00Z\n}",
		"keys {\nstored\nfile "+keyFile+"\n}",
		deferring("encrypt {env.QUEUE_SECRET}", "max_attempts 2", calling("{env.HOOK_SECRET}"))))
	s.App = strings.Replace(s.App, "api_key "+upstreamKey, "api_key {env.PROVIDER_SECRET}\napi_key {file."+write("provider", secrets["a provider's key of a file"])+"}", 1)
	s.Site = "log {\noutput file " + filepath.Join(g.dir, "access.log") + "\n" + shippedFilter(t) + "\n}\n" + s.Site
	s.Global, s.Saved = "debug\n", true
	s.Env = []string{
		"CLIENT_KEY=" + secrets["a key of the environment"], "ENDED_KEY=" + secrets["a key that has ended"], "PROVIDER_SECRET=" + secrets["a provider's key"],
		"QUEUE_SECRET=" + secrets["the queue's secret"], "HOOK_SECRET=" + secrets["the callbacks' secret"],
	}
	up.on("gpt-upstream", hello)
	up.on("refused", playJSON(401, errorJSON("Incorrect API key", "invalid_request_error", "invalid_api_key")))
	up.on("failing", playJSON(500, broken))
	up.on("dead", (*exchange).reset)
	echo := func(x *exchange) string {
		return errorJSON("You came with "+x.Req.Header.Get("Authorization"), "server_error", "")
	}
	for _, status := range []int{400, 403, 404, 429, 500} {
		up.on(fmt.Sprint("echo-", status), func(x *exchange) { playJSON(status, echo(x))(x) })
	}
	up.on("echo-first", func(x *exchange) { x.sse(); x.chunk("data: " + echo(x) + "\n\n"); x.end() })
	up.on("echo-later", func(x *exchange) {
		x.sse()
		x.chunk(word("echo-later", "a") + "data: " + echo(x) + "\n\n")
		x.end()
	})
	g.launch(s)
	t.Cleanup(g.finish)
	secrets["a stored key"] = g.manage(t, http.MethodPost, "", `{"name":"stored"}`)
	secrets["a revoked key"] = g.manage(t, http.MethodPost, "", `{"name":"revoked"}`)
	g.manage(t, http.MethodPost, "/revoked/revoke", "")
	secrets["a rotated key"] = g.manage(t, http.MethodPost, "/stored/rotate?grace=1h", "")
	g.reload(s)

	var shown strings.Builder
	show := func(a answer) { fmt.Fprintln(&shown, a.Status, a.Header, a.Body) }
	for what, secret := range secrets {
		if strings.Contains(what, "callbacks") {
			continue
		}
		for _, header := range []string{"Authorization: Bearer " + secret, "X-Api-Key: " + secret, "Authorization: " + secret, "Api-Key: " + secret, "X-Goog-Api-Key: " + secret, "Cookie: key=" + secret, "Proxy-Authorization: Basic " + secret} {
			models := []string{"smart"}
			if strings.HasPrefix(what, "a key of") && strings.HasPrefix(header, "X-Api-Key") {
				models = []string{"smart", "up/failing", "up/dead", "nobody"}
			}
			for _, model := range models {
				show(g.post(t, chatPath+"?key="+secrets["a key in a query"], chatBody(model, ""), header))
			}
			show(g.post(t, messagesPath, `{"model":"smart"`, header))
			show(g.do(t, http.MethodGet, "/v1/models", "", header))
			job := g.post(t, chatPath+"?api_key="+secrets["a key in a query"], chatBody("smart", ""), header, divert, "Runestone-Callback: "+hook.URL)
			show(job)
			if job.StatusCode == http.StatusAccepted && strings.HasPrefix(header, "X-Api-Key") && what != "a key of the environment" { // which is over its limit by then
				id := wantJob(t, job).ID
				show(g.response(t, id, header))
				hook.next(t)
			}
		}
	}
	for range 3 { // which has the gateway speak of the provider's keys
		show(g.post(t, chatPath, chatBody("up/refused", ""), "X-Api-Key: "+secrets["a stored key"]))
	}
	told := 0
	for _, model := range []string{"echo-400", "echo-403", "echo-404", "echo-429", "echo-500", "echo-first", "echo-later"} {
		for path, more := range map[string]string{chatPath: "", messagesPath: `,"max_tokens":9`} {
			for _, stream := range []string{"", `,"stream":true`} {
				a := g.post(t, path, chatBody("up/"+model, more+stream), "X-Api-Key: "+secrets["a stored key"])
				if told += strings.Count(a.Body, "You came with Bearer ***"); strings.Contains(model, "-4") && told == 0 {
					t.Errorf("%s of %s is not passed on: %s", model, path, a.Body)
				}
				show(a)
			}
		}
	}
	if told < 20 {
		t.Errorf("%d answers say what the provider has said", told)
	}
	// What is wrong in a configuration is told without it.
	for _, wrong := range []string{
		"key a {\nsecret %s\n}", "key a {\nsecret_sha256 %s\n}", "key a {\nsecret {env.X} %s\n}", "key a {\nsecret {env.X} 2027-01-31T00:00:00Z %s\n}", "key a {\nsecret {env.%s}\n}x",
		"keys {\nredis redis://:%s@localhost:1/x/y\n}", "keys {\nredis %s {\naway maybe\n}\n}", "keys {\nredis http://user:%s@localhost/\n}",
		"overflow {\nencrypt %s too\n}", "overflow {\ncallback {\nallow *\nsecret %s\n}\n}",
	} {
		bad := s
		bad.App += "\n" + strings.Replace(fmt.Sprintf(wrong, "MARKED-key-of-environment-01"), "{env.MARKED-key-of-environment-01}x", "", 1)
		if status, body, err := g.load(bad); err != nil || status == http.StatusOK {
			t.Errorf("%s was loaded (error %v)", wrong, err)
		} else {
			fmt.Fprintln(&shown, body)
		}
	}
	for _, body := range []string{`{"name":"` + secrets["a stored key"] + `"}`, `{"name":"x","secrets":[{"secret":"MARKED-key-of-environment-01"}]}`, `{"name":"x","MARKED-key-of-environment-01":1}`, `{"name":"x","priority":"MARKED-key-of-environment-01"}`} {
		res, err := probe.Post("http://"+g.admin+"/runestone/keys", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		var text bytes.Buffer
		_, _ = text.ReadFrom(res.Body)
		_ = res.Body.Close()
		fmt.Fprintln(&shown, res.Status, text.String())
	}
	places := g.places(t)
	places["what clients and operators were told"] = shown.String()
	found := ""
	for where := range places {
		found += where + "\n"
	}
	for _, where := range []string{"access.log", "autosave.json", "overflow.db", "/runestone/keys/"} {
		if !strings.Contains(found, where) {
			t.Errorf("%s is not among the places:\n%s", where, found)
		}
	}
	secrets.wantNowhere(t, places)
	delete(places, "/config/")
	for what, secret := range secrets { // the hash of a key is no secret, but nobody's business
		for where, content := range places {
			if hash := fmt.Sprintf("%x", sha256Of(secret)); strings.Contains(strings.ToLower(content), hash) && !strings.HasSuffix(where, "autosave.json") && !strings.Contains(where, "/data/caddy/runestone/keys/") {
				t.Errorf("%s has the hash of %s", where, what)
			}
		}
	}
}

// TestCrashesShowNoSecrets: nor does what Go writes when it dies.
func TestCrashesShowNoSecrets(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	s := withKeys(up, keyLine("a"))
	s.Env = append(keyEnv("a"), "GOTRACEBACK=system")
	held := hold(up, "gpt-upstream")
	g := prepare(t)
	g.launch(s)
	g.begin(t, streamBody("smart"), auth("a"))
	g.begin(t, chatBody("smart", ""), "X-Api-Key: "+secretOf("a"))
	held.next(t)
	held.next(t)
	if err := g.cmd.Process.Signal(syscall.SIGABRT); err != nil {
		t.Fatal(err)
	}
	g.awaitExit(patience)
	if text := g.stderr.String(); !strings.Contains(text, "goroutine ") {
		t.Errorf("it has not told where it was: %s", text)
	}
	marked{"a key": secretOf("a"), "the provider's key": upstreamKey}.wantNowhere(t, map[string]string{"stderr": g.stderr.String(), "stdout": g.stdout.String()})
}

// TestRedisPasswordIsKept: the server's password is neither in what is logged of a server that refuses it, nor in what is shown.
func TestRedisPasswordIsKept(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	up.on("gpt-upstream", hello)
	const password, wrong = "MARKED-password-of-redis-0123", "MARKED-wrong-password-of-redis"
	server := redisserver.Start(t, redisserver.Set("requirepass", password))
	for _, given := range []string{password, wrong} {
		s := withKeys(up, keyLine("a", "limits {\nrequests 2 1h\n}"), "keys {\nredis {env.LIMITS_REDIS}\n}")
		s.Global = "debug\n"
		s.Env = append(keyEnv("a"), "LIMITS_REDIS="+strings.Replace(server.URL(), "://", "://:"+given+"@", 1))
		g := start(t, s)
		for range 3 {
			g.post(t, chatPath, chatBody("smart", ""), auth("a"))
		}
		if given == wrong && !strings.Contains(g.stderr.String(), "edis") {
			t.Errorf("nothing is logged of a password that is refused: %s", g.tail())
		}
		marked{"the password": password, "a wrong password": wrong}.wantNowhere(t, g.places(t))
	}
}
