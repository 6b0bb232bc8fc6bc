package e2e

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// loadSeconds is for how long tests put a gateway under load.
func loadSeconds(t testing.TB) time.Duration {
	t.Helper()
	text := os.Getenv("RUNESTONE_LOAD_SECONDS")
	if text == "" {
		return 6 * time.Second
	}
	seconds, err := strconv.Atoi(text)
	if err != nil || seconds < 6 {
		t.Fatalf("RUNESTONE_LOAD_SECONDS is %q; write 6 or more", text)
	}
	return time.Duration(seconds) * time.Second
}

// lapsing is a secret that is valid at first, and from some time on is not. Between the two either answer will do: the
// gateway learns of a change within seconds.
type lapsing struct {
	text         string
	mayEnd, ends atomic.Pointer[time.Time]
}

func (l *lapsing) lapse(mayEnd, ends time.Time) {
	l.mayEnd.Store(&mayEnd)
	l.ends.Store(&ends)
}

// steadily sends requests with these secrets in turn, so many a second whatever becomes of them, until stop is closed. What a secret may not be
// answered with is an error.
func steadily(t *testing.T, g *gateway, perSecond int, secrets func() []*lapsing, stop <-chan struct{}) (sent int) {
	t.Helper()
	began := time.Now()
	var group sync.WaitGroup
	defer group.Wait()
	for ; ; sent++ {
		select {
		case <-stop:
			return sent
		case <-time.After(time.Until(began.Add(time.Duration(sent) * time.Second / time.Duration(perSecond)))): // what is late is made up for
		}
		all := secrets()
		secret := all[sent%len(all)]
		path, body, header := chatPath, chatBody("smart", ""), "Authorization: Bearer "
		if sent%3 == 0 {
			path, body, header = messagesPath, chatBody("smart", `,"max_tokens":5`), "X-Api-Key: "
		}
		group.Go(func() {
			began := time.Now()
			a := g.insist(t, path, body, header+secret.text)
			mayEnd, ends := secret.mayEnd.Load(), secret.ends.Load()
			switch {
			case ends != nil && began.After(*ends) && a.StatusCode != http.StatusUnauthorized:
				t.Errorf("a secret that ended %v before is answered %d", began.Sub(*ends), a.StatusCode)
			case (mayEnd == nil || time.Now().Before(*mayEnd)) && a.StatusCode != http.StatusOK,
				a.StatusCode != http.StatusOK && a.StatusCode != http.StatusUnauthorized:
				t.Errorf("a valid secret is answered %d: %s", a.StatusCode, a.Body)
			}
		})
	}
}

// load is traffic with the secrets that are in use.
type load struct {
	mu    sync.Mutex
	inUse []*lapsing
	stop  chan struct{}
	sent  chan int // gets how many requests were sent
	began time.Time
	whole time.Duration
}

// underLoad has 200 requests a second sent to a gateway whose upstream is up.
func underLoad(t *testing.T, g *gateway, up *upstream, secrets ...*lapsing) *load {
	t.Helper()
	l := &load{inUse: secrets, stop: make(chan struct{}), sent: make(chan int, 1), began: time.Now(), whole: loadSeconds(t)}
	route := up.on("gpt-upstream", hello)
	go func() { // or the upstream would wait for a test that wants to see them
		for {
			select {
			case <-route.seen:
			case <-l.stop:
				return
			}
		}
	}()
	go func() {
		l.sent <- steadily(t, g, 200, func() []*lapsing { l.mu.Lock(); defer l.mu.Unlock(); return l.inUse }, l.stop)
	}()
	return l
}

// use has a further secret used.
func (l *load) use(secret *lapsing) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inUse = append(slices.Clip(l.inUse), secret)
}

// at waits until a part of the time is over.
func (l *load) at(part float64) {
	<-time.After(time.Until(l.began.Add(time.Duration(part * float64(l.whole)))))
}

// end waits until all requests are answered.
func (l *load) end(t *testing.T) {
	t.Helper()
	close(l.stop)
	sent := <-l.sent
	t.Logf("%d requests", sent)
	if want := int(l.whole.Seconds() * 200 * 0.9); sent < want {
		t.Errorf("%d requests were sent, want %d", sent, want)
	}
}

// TestRotationUnderLoad: keys that are stored, across a rotation, a revocation and reloads.
func TestRotationUnderLoad(t *testing.T) {
	t.Parallel()
	if raceBuild() {
		t.Skip("the race detector makes the gateway too slow for this load")
	}
	up := newUpstream(t)
	s := withKeys(up, "keys {\nstored\n}")
	g := start(t, s)
	made := func(name string) *lapsing {
		return &lapsing{text: g.manage(t, http.MethodPost, "", `{"name":"`+name+`"}`)}
	}
	old, revoked, long := made("rotated"), made("revoked"), made("long")
	l := underLoad(t, g, up, old, revoked, made("stays"), long)
	l.at(0.1)
	grace := l.whole * 4 / 10
	soon := time.Now().Add(grace)
	old.lapse(soon, soon.Add(time.Second))
	l.use(&lapsing{text: g.manage(t, http.MethodPost, "/rotated/rotate?grace="+grace.String(), "")})
	l.use(&lapsing{text: g.manage(t, http.MethodPost, "/long/rotate?grace=1h", "")})
	g.reload(s)
	l.at(0.3)
	now := time.Now()
	revoked.lapse(now, now.Add(time.Hour)) // either will do while it is being revoked
	g.manage(t, http.MethodPost, "/revoked/revoke", "")
	revoked.lapse(now, time.Now())
	l.at(0.6)
	g.reload(s)
	l.at(1)
	l.end(t)
	for _, secret := range []*lapsing{old, revoked} {
		g.post(t, chatPath, chatBody("smart", ""), "Authorization: Bearer "+secret.text).wantError(t, http.StatusUnauthorized)
	}
	wantHello(t, g.post(t, chatPath, chatBody("smart", ""), "Authorization: Bearer "+long.text), "smart", "up", 1)
}

// insist is post that sends its request again if its connection is closed, as SDKs do: a reload closes those that are idle.
func (g *gateway) insist(t testing.TB, path, body, header string) answer {
	t.Helper()
	for try := 1; ; try++ {
		res, err := g.send(t, t.Context(), http.MethodPost, path, body, "Content-Type: application/json", header)
		if err == nil {
			return answerOf(res)
		}
		if try == 3 {
			t.Errorf("POST %s: %v", path, err)
			return answer{Response: new(http.Response)}
		}
		<-time.After(100 * time.Millisecond) // SDKs wait longer; without, the next idle connection is closed as well
	}
}

// TestRotationByFileUnderLoad: keys in a file that is replaced, across a rotation, a revocation, a broken file and reloads.
func TestRotationByFileUnderLoad(t *testing.T) {
	t.Parallel()
	if raceBuild() {
		t.Skip("the race detector makes the gateway too slow for this load")
	}
	up := newUpstream(t)
	hash := func(name, more string) string {
		return fmt.Sprintf(`{"sha256":"%x"%s}`, sha256Of(secretOf(name)), more)
	}
	key := func(name string, secrets ...string) string {
		return fmt.Sprintf("{\"name\":%q,\"secrets\":[%s]}\n", name, strings.Join(secrets, ","))
	}
	file := newKeyFile(t, key("stays", hash("stays", ""))+key("rotated", hash("old", ""))+key("revoked", hash("revoked", "")))
	s := withKeys(up, "keys {\nfile "+file.path+"\n}")
	g := start(t, s)
	old, revoked := &lapsing{text: secretOf("old")}, &lapsing{text: secretOf("revoked")}
	l := underLoad(t, g, up, &lapsing{text: secretOf("stays")}, old, revoked)

	l.at(0.1) // rotated: both secrets for a while
	oldEnds := l.began.Add(l.whole * 7 / 10).Truncate(time.Millisecond)
	old.lapse(oldEnds, oldEnds)
	rotated := key("rotated", hash("old", `,"ends":"`+oldEnds.UTC().Format(time.RFC3339Nano)+`"`), hash("new", ""))
	file.replace(key("stays", hash("stays", "")) + rotated + key("revoked", hash("revoked", "")))
	g.reload(s)
	l.use(&lapsing{text: secretOf("new")})

	l.at(0.3) // a file that is of no use changes nothing, be it read now or by a reload, which fails
	file.replace(key("stays", hash("stays", "")) + `{"name":"rotated","secrets":[{"secret":"` + secretOf("new"))
	if status, body, err := g.load(s); err != nil || status == http.StatusOK || strings.Contains(body, secretOf("new")) {
		t.Errorf("with a broken file: status %d, error %v: %s", status, err, body)
	}

	l.at(0.4) // revoked, by the file alone: it is read within seconds
	now := time.Now()
	revoked.lapse(now, now.Add(3*time.Second))
	file.replace(key("stays", hash("stays", "")) + rotated)
	l.at(0.8)
	g.reload(s)
	l.at(1)
	l.end(t)
	g.post(t, chatPath, chatBody("smart", ""), auth("old")).wantError(t, http.StatusUnauthorized)
	g.post(t, chatPath, chatBody("smart", ""), auth("revoked")).wantError(t, http.StatusUnauthorized)
	wantHello(t, g.post(t, chatPath, chatBody("smart", ""), auth("new")), "smart", "up", 1)
}

// TestSecretsInFiles: a secret that the configuration takes from a file is another within seconds of the file's change, and one of an environment
// variable ends at its time.
func TestSecretsInFiles(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	up.on("gpt-upstream", hello)
	file := newKeyFile(t, secretOf("first"))
	ends := time.Now().Add(3 * time.Second)
	s := withKeys(up, "key a {\nsecret {file."+file.path+"}\n}", "key b {\nsecret {env.KEY_B} "+ends.UTC().Format(time.RFC3339Nano)+"\n}")
	s.Env = keyEnv("b")
	g := start(t, s)
	wantHello(t, g.post(t, chatPath, chatBody("smart", ""), auth("first")), "smart", "up", 1)
	wantHello(t, g.post(t, chatPath, chatBody("smart", ""), auth("b")), "smart", "up", 1)
	file.replace(secretOf("second") + "\n")
	eventually(t, patience, "the new secret is not accepted", func() bool {
		return g.post(t, chatPath, chatBody("smart", ""), auth("second")).StatusCode == http.StatusOK
	})
	g.post(t, chatPath, chatBody("smart", ""), auth("first")).wantError(t, http.StatusUnauthorized)
	file.replace("short") // of no use
	<-time.After(time.Until(ends))
	g.post(t, chatPath, chatBody("smart", ""), auth("b")).wantError(t, http.StatusUnauthorized)
	eventually(t, patience, "the log says nothing of a secret that is of no use", func() bool { return strings.Contains(g.stderr.String(), "the one before it is used on") })
	wantHello(t, g.post(t, chatPath, chatBody("smart", ""), auth("second")), "smart", "up", 1)
}
