package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
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

// insist is post that sends its request again if its connection is closed, as SDKs do: a reload closes those that are idle.
func (g *gateway) insist(t testing.TB, path, body, header string) answer {
	t.Helper()
	for try := 1; ; try++ {
		res, err := g.send(t, t.Context(), http.MethodPost, path, body, "Content-Type: application/json", header)
		if err == nil {
			defer res.Body.Close()
			b, err := io.ReadAll(res.Body)
			return answer{Response: res, Body: string(b), Err: err}
		}
		if try == 3 {
			t.Errorf("POST %s: %v", path, err)
			return answer{Response: new(http.Response)}
		}
	}
}

// TestRotationByFileUnderLoad: keys in a file that is replaced, 200 requests a second, across a rotation, a revocation, a broken file and reloads.
func TestRotationByFileUnderLoad(t *testing.T) {
	t.Parallel()
	if raceBuild() {
		t.Skip("the race detector makes the gateway too slow for this load")
	}
	up := newUpstream(t)
	up.on("gpt-upstream", hello)
	hash := func(name, more string) string {
		return fmt.Sprintf(`{"sha256":"%x"%s}`, sha256Of(secretOf(name)), more)
	}
	key := func(name string, secrets ...string) string {
		return fmt.Sprintf("{\"name\":%q,\"secrets\":[%s]}\n", name, strings.Join(secrets, ","))
	}
	file := newKeyFile(t, key("stays", hash("stays", ""))+key("rotated", hash("old", ""))+key("revoked", hash("revoked", "")))
	s := withKeys(up, "keys {\nfile "+file.path+"\n}")
	g := start(t, s)
	var mu sync.Mutex
	stays, old, revoked := &lapsing{text: secretOf("stays")}, &lapsing{text: secretOf("old")}, &lapsing{text: secretOf("revoked")}
	inUse := []*lapsing{stays, old, revoked}
	stop := make(chan struct{})
	var group sync.WaitGroup
	var sent int
	group.Go(func() {
		sent = steadily(t, g, 200, func() []*lapsing { mu.Lock(); defer mu.Unlock(); return inUse }, stop)
	})
	began, whole := time.Now(), loadSeconds(t)
	at := func(part float64) { <-time.After(time.Until(began.Add(time.Duration(part * float64(whole))))) }

	at(0.1) // rotated: both secrets for a while
	oldEnds := began.Add(time.Duration(0.7 * float64(whole))).Truncate(time.Millisecond)
	old.lapse(oldEnds, oldEnds)
	rotated := key("rotated", hash("old", `,"ends":"`+oldEnds.UTC().Format(time.RFC3339Nano)+`"`), hash("new", ""))
	file.replace(key("stays", hash("stays", "")) + rotated + key("revoked", hash("revoked", "")))
	g.reload(s)
	mu.Lock()
	inUse = append(inUse[:3:3], &lapsing{text: secretOf("new")})
	mu.Unlock()

	at(0.3) // a file that is of no use changes nothing, be it read now or by a reload, which fails
	file.replace(key("stays", hash("stays", "")) + `{"name":"rotated","secrets":[{"secret":"` + secretOf("new"))
	if status, body, err := g.load(s); err != nil || status == http.StatusOK || strings.Contains(body, secretOf("new")) {
		t.Errorf("with a broken file: status %d, error %v: %s", status, err, body)
	}

	at(0.4) // revoked, by the file alone: it is read within seconds
	now := time.Now()
	revoked.lapse(now, now.Add(3*time.Second))
	file.replace(key("stays", hash("stays", "")) + rotated)
	at(0.8)
	g.reload(s)
	at(1)
	close(stop)
	group.Wait()
	if want := int(whole.Seconds() * 200 * 0.9); sent < want {
		t.Errorf("%d requests were sent, want %d", sent, want)
	}
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
