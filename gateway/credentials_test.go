package gateway

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// keyring is credentials with a clock and a log of their own.
type keyring struct {
	*credentials
	now  atomic.Int64
	logs *observer.ObservedLogs
}

func newKeyring(t testing.TB, keys ...APIKey) *keyring {
	t.Helper()
	core, logs := observer.New(zapcore.InfoLevel)
	c, err := newCredentials(t.Name(), keys, zap.New(core))
	if err != nil {
		t.Fatal(err)
	}
	r := &keyring{credentials: c, logs: logs}
	r.now.Store(int64(time.Hour))
	c.clock = func() time.Duration { return time.Duration(r.now.Load()) }
	t.Cleanup(c.release)
	return r
}

func (r *keyring) pass(d time.Duration) { r.now.Add(int64(d)) }

// holder returns the credential whose secret that is.
func (r *keyring) holder(t testing.TB, secret string) *credential {
	t.Helper()
	for _, k := range r.keys {
		if now := k.now.Load(); now.secret() == secret {
			return now
		}
	}
	t.Fatalf("no key has the secret %q", secret)
	return nil
}

// play plays steps, which are parted by spaces:
//
//	a=401 a=403 a=200    the key a gets this answer
//	a=429/30s            and is paused for that long
//	take=a               a request that has tried nothing takes a
//	free=abc             it could take any of these
//	last=a               there is none, and it could take a all the same
//	none=30s             nor that; the first pause ends after that time
//	a:free=bc            the same for a request that has tried a
//	+30s                 time passes
//	logs=2               so many lines have been logged
//
// The model is m, save where a step begins with another: other/free=a.
func (r *keyring) play(t *testing.T, steps string) {
	t.Helper()
	for step := range strings.FieldsSeq(steps) {
		if r.answer(t, step) {
			continue
		}
		if d, ok := strings.CutPrefix(step, "+"); ok {
			r.pass(parseWait(t, d))
			continue
		}
		model, ask, other := strings.Cut(step, "/")
		if !other {
			model, ask = "m", step
		}
		var tried []*credential
		if names, rest, ok := strings.Cut(ask, ":"); ok {
			ask = rest
			for _, name := range names {
				tried = append(tried, r.holder(t, string(name)))
			}
		}
		verb, _, _ := strings.Cut(ask, "=")
		var got string
		switch verb {
		case "logs":
			got = fmt.Sprint(r.logs.Len())
		case "take":
			k, _, ok := r.take(model, tried...)
			if !ok {
				t.Fatalf("%s: there is none", step)
			}
			got = k.secret()
		case "free", "last", "none":
			verb, got = r.outlook(t, model, tried)
		default:
			t.Fatalf("no such step: %s", step)
		}
		if verb+"="+got != ask {
			t.Fatalf("%s: it is %s=%s", step, verb, got)
		}
	}
}

// answer plays a step such as a=401.
func (r *keyring) answer(t *testing.T, step string) bool {
	t.Helper()
	name, answer, _ := strings.Cut(step, "=")
	if len(name) != 1 {
		return false
	}
	k := r.holder(t, name)
	switch status, rest, _ := strings.Cut(answer, "/"); status {
	case "200":
		k.accepted()
	case "401":
		k.refused(401)
	case "403":
		k.refused(403)
	case "429":
		k.pause("m", parseWait(t, rest))
	default:
		t.Fatalf("no such answer: %s", step)
	}
	return true
}

// outlook returns what take would find, and checks that ready says the same.
func (r *keyring) outlook(t *testing.T, model string, tried []*credential) (verb, what string) {
	t.Helper()
	free, last, retry := r.survey(nil, model, tried)
	after, ok := r.ready(model, tried...)
	if want := len(free) > 0 || last != nil; ok != want || after != retry {
		t.Errorf("ready() = %v, %v; want %v, %v", after, ok, retry, want)
	}
	switch {
	case len(free) > 0:
		names := make([]string, len(free))
		for i, k := range free {
			names[i] = k.now.Load().secret()
		}
		return "free", strings.Join(names, "")
	case last != nil:
		return "last", last.secret()
	}
	return "none", retry.String()
}

func parseWait(t testing.TB, s string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ keys, steps string }{
		"all are free at first":                               {"abc", "free=abc logs=0"},
		"a key is not offered to a request that has tried it": {"abc", "a:free=bc ab:free=c abc:none=0s free=abc"},

		"a 401 sets a key aside for a minute":     {"abc", "b=401 free=ac logs=1 +59s free=ac +1s free=abc"},
		"another answer does not set it aside":    {"ab", "a=200 free=ab"},
		"one request tries it again":              {"ab", "a=401 +1m b:take=a free=b b:none=0s free=b"},
		"another does if that brings no answer":   {"ab", "a=401 +1m b:take=a +59s free=b +1s free=ab"},
		"a trial that is accepted brings it back": {"ab", "a=401 +1m b:take=a a=200 free=ab logs=2"},
		"each trial that is refused doubles the time": {"ab",
			"a=401 +1m b:take=a a=401 +119s free=b +1s b:take=a a=401 +239s free=b +1s free=ab logs=1"},
		"the time grows to an hour": {"ab",
			"a=401 +1h b:take=a a=401 +1h b:take=a a=401 +1h b:take=a a=401 +1h b:take=a a=401 +1h b:take=a a=401 +1h b:take=a a=401" +
				" +59m59s free=b +1s free=ab"},
		"a key that came back is set aside for a minute again": {"ab",
			"a=401 +1m b:take=a a=401 +2m b:take=a a=200 a=401 +1m free=ab"},
		"refusals of calls that were under way count once": {"ab", "a=401 a=401 a=401 a=401 +1m free=ab logs=1"},
		"answers to calls from before prove nothing":       {"ab", "a=401 a=200 free=b +1m b:take=a a=401 a=200 free=b +2m b:take=a a=200 free=ab"},

		"a 403 may be about the model":                 {"ab", "a=403 a=403 free=ab logs=0"},
		"three in a row are about the key":             {"ab", "a=403 a=403 a=403 free=b logs=1"},
		"they are not in a row with an answer between": {"ab", "a=403 a=403 a=200 a=403 a=403 free=ab"},
		"403s leave one key":                           {"ab", "a=403 a=403 a=403 b=403 b=403 b=403 b=403 free=b logs=1"},
		"403s leave the only key":                      {"a", "a=403 a=403 a=403 a=403 free=a logs=0"},
		"one more 403 is enough for a key on trial":    {"ab", "a=401 +1m b:take=a a=403 +119s free=b +1s free=ab"},
		"a paused key is one that is left":             {"ab", "b=429/1h a=403 a=403 a=403 none=1h0m0s"},
		"a key that 403s could not set aside goes when another is back": {"ab",
			"b=401 a=403 a=403 a=403 free=a +1m a:take=b b=200 free=ab a=403 free=b"},

		"the only key is used although it is refused":          {"a", "a=401 last=a take=a a=401 last=a logs=1"},
		"a refused key that was due is not tried twice":        {"ab", "a=401 +59s b=401 +1s free=a a:last=b"},
		"the only key is reported once until it works":         {"a", "a=401 take=a a=200 free=a a=401 logs=3"},
		"the only key is due like others":                      {"a", "a=401 +1m free=a take=a last=a take=a"},
		"of refused keys the one refused longest ago is used":  {"abc", "b=401 +1s c=401 +1s a=401 last=b take=b b=401 last=c"},
		"a request may try them all":                           {"abc", "b=401 +1s c=401 +1s a=401 b:last=c bc:last=a abc:none=0s"},
		"a key that is refused is no better for another's 403": {"ab", "b=401 a=403 a:none=0s"},
		"a refused key that works again is the one to use":     {"ab", "a=401 +1s b=401 take=a a=200 free=a"},
		"refused keys in use do not earn longer times":         {"ab", "a=401 b=401 +1s take=a a=401 take=b b=401 take=a a=401 +59s free=ab"},

		"a 429 pauses a key":                                      {"ab", "a=429/30s free=b +29s free=b +1s free=ab logs=0"},
		"for one model":                                           {"ab", "a=429/30s b=429/30s none=30s other/free=ab"},
		"a pause is not shortened":                                {"ab", "a=429/30s a=429/10s +29s free=b +1s free=ab"},
		"a pause may be prolonged":                                {"ab", "a=429/10s a=429/30s +29s free=b"},
		"a pause lasts an hour at most":                           {"ab", "a=429/24h +59m59s free=b +1s free=ab"},
		"a pause of no time is none":                              {"ab", "a=429/0s b=429/-1s free=ab"},
		"an answer does not end a pause":                          {"ab", "a=429/30s a=200 free=b"},
		"when all are paused the first to end is told":            {"abc", "a=429/30s b=429/10s c=429/20s none=10s b:none=10s +10s free=b"},
		"the only key is paused too":                              {"a", "a=429/30s none=30s a:none=30s"},
		"a paused key is worth waiting for, a refused one is not": {"ab", "a=429/30s b=401 none=30s a:none=30s +30s free=a"},
		"a key that is free for others is no pause to wait for":   {"ab", "a=429/30s b:none=0s"},
		"a refused key may be paused":                             {"ab", "a=401 a=429/90s +1m free=b +30s free=ab"},
		"of refused keys the paused one is not used":              {"ab", "a=401 +1s b=401 a=429/50s last=b"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var keys []APIKey
			for _, secret := range test.keys {
				keys = append(keys, APIKey{Key: string(secret)})
			}
			newKeyring(t, keys...).play(t, test.steps)
		})
	}
}

func TestNoKeysAreOneEmptyKey(t *testing.T) {
	t.Parallel()
	r := newKeyring(t)
	k, _, ok := r.take("m")
	if !ok || k.secret() != "" || r.several() {
		t.Fatalf("take() = %v, %v, several %v; want the empty key alone", k, ok, r.several())
	}
	k.refused(401)
	if again, _, ok := r.take("m"); !ok || again != k {
		t.Errorf("once refused, take() = %v, %v; want it again", again, ok)
	}
	if _, _, ok := r.take("m", k); ok {
		t.Error("a request that has tried it gets it again")
	}
	want := []CredentialStatus{{Name: "no key", State: "refused"}}
	if got := r.status(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("status() = %v, want %v", got, want)
	}
}

// After however many calls, no key is more than five calls away from its share.
func TestKeysAreUsedEvenly(t *testing.T) {
	t.Parallel()
	for _, weights := range [][]int{{0, 0}, {1, 1, 1}, {5, 1, 1}, {1, 2, 3, 4, 5}, {1, 99}, {1_000_000, 1_000_000, 1}, {7, 7, 7, 7, 7, 7, 7, 7, 7, 7}} {
		t.Run(fmt.Sprint(weights), func(t *testing.T) {
			t.Parallel()
			keys, total := make([]APIKey, len(weights)), 0
			for i, w := range weights {
				keys[i] = APIKey{Key: string(rune('a' + i)), Weight: w}
				total += max(w, 1)
			}
			r := newKeyring(t, keys...)
			count := map[string]int{}
			for n := 1; n <= 20_000; n++ {
				k, _, _ := r.take("m")
				count[k.secret()]++
				for _, key := range keys {
					share := float64(n) * float64(max(key.Weight, 1)) / float64(total)
					if off := float64(count[key.Key]) - share; off > 5 || off < -5 {
						t.Fatalf("after %d calls key %s has had %d, its share is %.1f", n, key.Key, count[key.Key], share)
					}
				}
			}
		})
	}
}

// What is over costs nothing any more.
func TestHealthyAgainKeysAreFastAgain(t *testing.T) {
	t.Parallel()
	r := newKeyring(t, APIKey{Key: "a"}, APIKey{Key: "b"})
	for _, steps := range []string{"a=429/30s a=429/10s +30s free=ab", "a=401 +1m b:take=a a=200", "a=403 a=200"} {
		r.play(t, steps)
		if r.holder(t, "a").health.marked.Load() {
			t.Errorf("after %s something is still held against the key", steps)
		}
	}
}

// The calls of a key that is set aside go to the others by their weights.
func TestKeysThatAreLeftShareByWeight(t *testing.T) {
	t.Parallel()
	r := newKeyring(t, APIKey{Key: "a", Weight: 10}, APIKey{Key: "b", Weight: 3}, APIKey{Key: "c"})
	r.holder(t, "a").refused(401)
	count := map[string]int{}
	for range 4000 {
		k, _, _ := r.take("m")
		count[k.secret()]++
	}
	if b := count["b"]; count["a"] != 0 || b < 2995 || b > 3005 {
		t.Errorf("calls: %v; want b to have 3000 of 4000 and a none", count)
	}
}

func TestTakeDoesNotAllocate(t *testing.T) {
	for name, r := range map[string]*keyring{"one key": numbered(t, 1), "five keys": numbered(t, 5)} {
		if n := testing.AllocsPerRun(1000, func() { r.take("m") }); n != 0 {
			t.Errorf("%s: %v allocations, want none", name, n)
		}
	}
}

func numbered(t testing.TB, n int) *keyring {
	config := make([]APIKey, n)
	for i := range config {
		config[i] = APIKey{Key: fmt.Sprint("sk-", i), Weight: i + 1}
	}
	return newKeyring(t, config...)
}

func BenchmarkTake(b *testing.B) {
	path := filepath.Join(b.TempDir(), "key")
	rewrite(b, path, "sk-file")
	withFile := newKeyring(b, fileKey(path))
	withFile.clock = clock
	refused := numbered(b, 5)
	refused.clock = clock
	refused.holder(b, "sk-0").refused(401)
	for _, bench := range []struct {
		name string
		*keyring
	}{
		{"1", numbered(b, 1)}, {"5", numbered(b, 5)}, {"1 in a file", withFile}, {"5 with 1 refused", refused},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				k, _, _ := bench.take("m")
				k.accepted()
			}
		})
		b.Run(bench.name+" in parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					k, _, _ := bench.take("m")
					k.accepted()
				}
			})
		})
	}
}
