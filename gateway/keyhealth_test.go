package gateway

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/runestone-gateway/runestone/breaker"
)

// wantUses checks how many configurations hold what is known of a secret.
func wantUses(t testing.TB, id, secret string, want int) {
	t.Helper()
	h := holdHealth(id, secret)
	defer h.drop()
	if n, _ := healthPool.References(h.id); n-1 != want {
		t.Errorf("the health of %q is held %d times, want %d", secret, n-1, want)
	}
}

// A secret that is replaced before it is withdrawn costs nothing, one that is replaced
// only just before the refusal costs a call, and none is ever set aside for it.
func TestRefusedKeyWithANewSecretIsTriedAgain(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	rewrite(t, path, "old")
	r := newKeyring(t, fileKey(path), APIKey{Key: "other"})
	old := r.holder(t, "old")
	r.take("m") // has looked at the file
	rewrite(t, path, "new")
	for range 2 { // calls that were under way
		if !old.refused(401) {
			t.Fatal("refused() does not report the new secret")
		}
	}
	fresh := r.holder(t, "new")
	if free, _, _ := r.survey(nil, "m", []*credential{old}); !slices.Contains(free, fresh.key) || len(free) != 2 {
		t.Errorf("free: %v, want the new secret and the other key", free)
	}
	if old.accepted(); fresh.refused(401) {
		t.Error("refused() reports another secret than the new one")
	}
	if free, _, _ := r.survey(nil, "m", nil); slices.Contains(free, fresh.key) {
		t.Error("the new secret is not set aside when it is refused")
	}
}

// A key that is set aside comes back as soon as its file holds another secret.
func TestNewSecretBringsAKeyBack(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	rewrite(t, path, "a")
	r := newKeyring(t, fileKey(path), APIKey{Key: "b"})
	r.play(t, "a=401 free=b")
	rewrite(t, path, "c")
	r.play(t, "+1s free=cb")
}

func TestReloadKeepsWhatIsKnown(t *testing.T) {
	t.Parallel()
	old := newKeyring(t, APIKey{Key: "a"}, APIKey{Key: "b"}, APIKey{Key: "c"})
	old.play(t, "a=401 b=429/30s c=401 none=30s")
	fresh := newKeyring(t, APIKey{Key: "c"}, APIKey{Key: "b"}, APIKey{Key: "d"})
	old.release()
	fresh.play(t, "free=d +30s free=bd +30s free=cbd logs=0")

	elsewhere, err := newCredentials(t.Name()+" elsewhere", []APIKey{{Key: "c"}, {Key: "d"}}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	defer elsewhere.release()
	if free, _, _ := elsewhere.survey(nil, "m", nil); len(free) != 2 {
		t.Errorf("another provider may use %v, want both keys", free)
	}

	wantUses(t, t.Name(), "a", 0)
	newKeyring(t, APIKey{Key: "a"}, APIKey{Key: "c"}).play(t, "a=200 free=a")
}

func TestReleasedKeysGoOn(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	rewrite(t, path, "old")
	r := newKeyring(t, fileKey(path), APIKey{Key: "b"})
	r.release()
	r.release()
	(*credentials)(nil).release()
	rewrite(t, path, "new")
	k := r.holder(t, "old")
	if !k.refused(401) {
		t.Error("the new secret is not found")
	}
	r.holder(t, "new").refused(401)
	r.wantTaken(t, "b").accepted()
	for _, secret := range []string{"old", "new", "b"} {
		wantUses(t, t.Name(), secret, 0)
	}
}

func TestCredentialStatus(t *testing.T) {
	t.Parallel()
	r := newKeyring(t, APIKey{Key: "a"}, APIKey{Key: "b"}, APIKey{Key: "c"}, APIKey{Key: "d"})
	r.play(t, "b=401 +10s c=429/20s d=403")
	r.holder(t, "c").pause("k", 30*time.Second)
	got, err := json.Marshal(r.status())
	if err != nil {
		t.Fatal(err)
	}
	want := `[{"name":"key 1","state":"ok"},{"name":"key 2","state":"refused","for_seconds":50},` +
		`{"name":"key 3","state":"paused","for_seconds":30,"models":["k","m"]},{"name":"key 4","state":"ok"}]`
	if string(got) != want {
		t.Errorf("status: %s\nwant: %s", got, want)
	}
	r.pass(breaker.MaxPause)
	if s := r.status(); s[1].For != 0 || s[2].State != "ok" {
		t.Errorf("later: %v", s)
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	t.Parallel()
	const secret = "sk-open-sesame"
	path := filepath.Join(t.TempDir(), "key")
	rewrite(t, path, secret)
	r := newKeyring(t, APIKey{Key: secret}, APIKey{Key: secret + "{file." + path + "}"})
	var shown strings.Builder
	encoder := zapcore.NewConsoleEncoder(zap.NewDevelopmentEncoderConfig())
	for _, k := range r.keys {
		now := k.now.Load()
		values := []any{r.credentials, k, now, *now, now.health, []*credential{now}, map[string]*credential{"k": now}, struct {
			k *credential
			c *credentials
			v credential
		}{now, r.credentials, *now}, r.status(), fmt.Errorf("call: %v", now)}
		for _, v := range values {
			for verb := 'A'; verb <= 'z'; verb++ {
				for _, flags := range []string{"", "+", "#", "+#", " ", "080."} {
					fmt.Fprintf(&shown, "%"+flags+string(verb)+"\n", v)
				}
			}
			text, _ := json.Marshal(v)
			shown.Write(text)
			for _, field := range []zap.Field{zap.Any("v", v), zap.Reflect("v", v)} {
				line, err := encoder.EncodeEntry(zapcore.Entry{}, []zap.Field{field})
				if err != nil {
					t.Fatal(err)
				}
				shown.Write(line.Bytes())
			}
		}
		now.refused(401)
	}
	k, _, _ := r.take("m")
	k.accepted()
	for _, text := range []string{secret + "\n" + secret, secret + secret} {
		rewrite(t, path, text)
		r.pass(time.Minute)
		r.survey(nil, "m", nil)
	}
	for i, part := range []string{"set aside", "the last API key", "accepts", "of no use", "replaced"} {
		if r.logs.Len() != 5 || !strings.Contains(r.logs.All()[i].Message, part) {
			t.Fatalf("logged %v, want the line %d to be about %q", r.logs.All(), i, part)
		}
	}
	for _, entry := range r.logs.All() {
		fmt.Fprintln(&shown, entry.Message, entry.ContextMap())
	}
	for _, form := range []string{"sesame", fmt.Sprintf("%x", "sesame"), fmt.Sprintf("%X", "sesame"), fmt.Sprint([]byte("sesame"))} {
		if strings.Contains(shown.String(), strings.Trim(form, "[]")) {
			t.Errorf("shown as %q", form)
		}
	}
}

// When a key is due, one of many requests tries it.
func TestOneOfManyTriesARefusedKey(t *testing.T) {
	t.Parallel()
	r := newKeyring(t, APIKey{Key: "a", Weight: 1_000_000}, APIKey{Key: "b"})
	a := r.holder(t, "a")
	a.refused(401)
	r.pass(firstTrial)
	for _, want := range []bool{true, false, false} { // all of which have seen that it is due
		if got := a.health.claim(r.clock); got != want {
			t.Fatalf("claim() = %v, want %v", got, want)
		}
	}
	for range 20 {
		r.pass(lastTrial)
		var trials atomic.Int32
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 100 {
					k, _, ok := r.take("m")
					if !ok {
						t.Error("there is none")
						return
					}
					if k.secret() == "a" {
						trials.Add(1)
					}
				}
			})
		}
		wg.Wait()
		if n := trials.Load(); n != 1 {
			t.Fatalf("%d requests tried it, want one", n)
		}
	}
}

// Whatever comes of the calls, a request that may try all keys of which one works gets its
// answer, while that one's file changes under it.
func TestNoRequestFailsWhileAKeyWorks(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	rewrite(t, path, "0")
	var newest atomic.Int64 // the provider accepts the last two secrets
	accepts := func(secret string) bool {
		n, err := strconv.ParseInt(secret, 10, 64)
		return err == nil && n >= newest.Load()-1
	}
	r := newKeyring(t, APIKey{Key: "bad"}, fileKey(path), APIKey{Key: "worse", Weight: 5})

	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if !r.request(t, accepts) {
					t.Error("a request got no answer")
					return
				}
			}
		})
	}
	for n := range int64(200) {
		newest.Store(n)
		rewrite(t, path, strconv.FormatInt(n, 10))
		r.pass(time.Duration(rand.Int64N(int64(time.Minute))))
		_ = r.status()
	}
	close(done)
	wg.Wait()
}

// request plays one request against a provider that accepts some secrets.
func (r *keyring) request(t *testing.T, accepts func(string) bool) bool {
	var tried []*credential
	for {
		k, retry, ok := r.take("m", tried...)
		if !ok {
			t.Logf("tried %v, retry %v", tried, retry)
			return false
		}
		if accepts(k.secret()) {
			k.accepted()
			return true
		}
		if !k.refused(401) {
			tried = append(tried, k)
		}
	}
}
