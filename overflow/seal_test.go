package overflow

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

const (
	oldSecret = "the old secret, 24 bytes"
	newSecret = "the new secret, 24 bytes"
	// sealedPrompt is "a prompt", sealed with the old secret as "job_1 payload".
	sealedPrompt = "016166a9f1f9597ae203cc9f2ec325c4fce776d3fde9aeb7fc09cb79da466ead259732f764a33fc645fe8fe202cfa170cd03a90d51956ea9f0"
)

func testSealer(t testing.TB, secrets ...string) *sealer {
	t.Helper()
	s, err := newSealer(secrets)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSealedMessagesAreOpenedByWhoKnowsTheSecret(t *testing.T) {
	t.Parallel()
	var none *sealer
	before, during, after := testSealer(t, oldSecret), testSealer(t, newSecret, oldSecret), testSealer(t, newSecret)
	for name, test := range map[string]struct {
		seals, opens *sealer
		want         error
	}{
		"not encrypted":                         {none, none, nil},
		"encrypted":                             {before, before, nil},
		"encryption was turned on":              {none, before, nil},
		"encryption was turned off":             {before, none, errNoKey},
		"the secret is being changed":           {before, during, nil},
		"and already used":                      {during, during, nil},
		"by a node that has the old secret yet": {during, before, errNoKey},
		"the secret was changed":                {during, after, nil},
		"too early":                             {before, after, errNoKey},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, plain := range [][]byte{nil, []byte("a prompt"), bytes.Repeat([]byte("long "), 100_000)} {
				sealed := test.seals.seal(plain, "job_1 payload")
				got, err := test.opens.open(sealed, "job_1 payload")
				if !errors.Is(err, test.want) || err == nil && !bytes.Equal(got, plain) {
					t.Errorf("got %.20q and %v, want %.20q and %v", got, err, plain, test.want)
				}
				if test.seals != nil && len(plain) > 0 && bytes.Contains(sealed, plain) {
					t.Error("it can be read without the secret")
				}
				if want := len(plain) + sealOverhead; test.seals != nil && len(sealed) != want {
					t.Errorf("it is %d bytes long, want %d", len(sealed), want)
				}
			}
		})
	}
}

// What was stored by an earlier version must stay readable.
func TestSealedMessagesOfVersion1(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"plain":     "00612070726f6d7074",
		"encrypted": sealedPrompt,
	} {
		sealed, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		got, err := testSealer(t, newSecret, oldSecret).open(sealed, "job_1 payload")
		if err != nil || string(got) != "a prompt" {
			t.Errorf("%s: got %q and %v", name, got, err)
		}
	}
}

func TestSealedMessagesAreOfNoUseElsewhere(t *testing.T) {
	t.Parallel()
	s := testSealer(t, newSecret, oldSecret)
	sealed := s.seal([]byte("a prompt"), "job_1 payload")
	for _, context := range []string{"job_2 payload", "job_1 head", "job_1 payload ", ""} {
		if got, err := s.open(sealed, context); !errors.Is(err, errSealBroken) {
			t.Errorf("as %q: got %q and %v, want errSealBroken", context, got, err)
		}
	}
}

func TestDamagedMessagesAreNotOpened(t *testing.T) {
	t.Parallel()
	s := testSealer(t, newSecret, oldSecret)
	sealed := s.seal([]byte("a prompt"), "job_1 payload")
	for i := range sealed {
		for _, bit := range []byte{1, 2, 4, 8, 16, 32, 64, 128} {
			damaged := bytes.Clone(sealed)
			damaged[i] ^= bit
			if got, err := s.open(damaged, "job_1 payload"); err == nil && damaged[0] != sealPlain {
				t.Errorf("byte %d with bit %d turned: got %q", i, bit, got)
			}
		}
		if got, err := s.open(sealed[:i], "job_1 payload"); err == nil {
			t.Errorf("the first %d bytes: got %q", i, got)
		}
	}
	if got, err := s.open(append(sealed, 0), "job_1 payload"); !errors.Is(err, errSealBroken) {
		t.Errorf("with a byte more: got %q and %v", got, err)
	}
	for name, s := range map[string]*sealer{"with keys": s, "without": nil} {
		for _, nothing := range [][]byte{nil, {}, {sealGCM}, {2, 'x'}} {
			if got, err := s.open(nothing, ""); !errors.Is(err, errSealBroken) {
				t.Errorf("%s: %v: got %q and %v, want errSealBroken", name, nothing, got, err)
			}
		}
	}
}

func TestNoTwoSealedMessagesAreAlike(t *testing.T) {
	t.Parallel()
	s := testSealer(t, newSecret)
	salts, nonces := map[string]bool{}, map[string]bool{}
	const n = 1000
	for range n {
		sealed := s.seal([]byte("a prompt"), "job_1 payload")
		salts[string(sealed[1+keyIDSize:][:saltSize])] = true
		nonces[string(sealed[1+keyIDSize+saltSize:][:12])] = true
	}
	if len(salts) != n || len(nonces) != n {
		t.Errorf("%d salts and %d nonces for %d messages", len(salts), len(nonces), n)
	}
}

func TestEncryptErrorsSayWhatToWrite(t *testing.T) {
	t.Setenv("RUNESTONE_TEST_KEY", "  "+newSecret+"\n")
	t.Setenv("RUNESTONE_TEST_EMPTY", "")
	for name, test := range map[string]struct {
		secrets []string
		err     string // how it begins, "" for none
	}{
		"none":                           {nil, ""},
		"a placeholder":                  {[]string{"{env.RUNESTONE_TEST_KEY}", oldSecret}, ""},
		"16 bytes":                       {[]string{"0123456789abcdef"}, ""},
		"15 bytes":                       {[]string{newSecret, "0123456789abcde"}, "encrypt[1] is 15 bytes long; write at least 16"},
		"nothing":                        {[]string{""}, "encrypt[0] is empty or has an unknown placeholder in it; write"},
		"a variable that is not set":     {[]string{newSecret, "{env.RUNESTONE_TEST_EMPTY}"}, "encrypt[1]: {env.RUNESTONE_TEST_EMPTY} is empty; set"},
		"a file that is not there":       {[]string{"{file./nowhere/key}"}, "encrypt[0]: {file./nowhere/key} is empty; set"},
		"a secret that looks like one":   {[]string{"SECRET{0123456789abcdef}"}, "encrypt[0] is empty or has an unknown placeholder"},
		"a secret twice":                 {[]string{oldSecret, newSecret, oldSecret}, "encrypt[2] is the same as encrypt[0]; remove one"},
		"a secret twice, once in a name": {[]string{newSecret, "{env.RUNESTONE_TEST_KEY}"}, "encrypt[1] is the same as encrypt[0]; remove one"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := newSealer(test.secrets)
			if test.err == "" {
				if err != nil || (s == nil) != (test.secrets == nil) {
					t.Errorf("got %v and %v", s, err)
				}
				return
			}
			if err == nil || !strings.HasPrefix(err.Error(), test.err) {
				t.Fatalf("got %v, want %s", err, test.err)
			}
			if strings.Contains(err.Error(), "0123456789") || strings.Contains(err.Error(), "the old") {
				t.Errorf("the error holds a secret: %v", err)
			}
		})
	}
}

// What the white space around a secret is makes no difference: nodes share a queue
// although one reads a file and the other a variable.
func TestSecretsAreTheSameFromFileAndVariable(t *testing.T) {
	t.Setenv("RUNESTONE_TEST_KEY", newSecret+"\r\n")
	sealed := testSealer(t, "{env.RUNESTONE_TEST_KEY}").seal([]byte("a prompt"), "")
	if got, err := testSealer(t, newSecret).open(sealed, ""); err != nil || string(got) != "a prompt" {
		t.Errorf("got %q and %v", got, err)
	}
}

// Nothing that was not sealed is opened, but for what says that it is plain, and
// nothing makes open panic.
func FuzzOpen(f *testing.F) {
	s := testSealer(f, newSecret, oldSecret)
	// Not sealed here: each of the fuzzer's processes would seal it otherwise.
	sealed, err := hex.DecodeString(sealedPrompt)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed, "job_1 payload")
	f.Add((*sealer)(nil).seal([]byte("a prompt"), ""), "")
	f.Add(append([]byte{sealGCM}, s.keys[1].id...), "")
	f.Add(bytes.Repeat([]byte{sealGCM}, sealOverhead), "")
	f.Fuzz(func(t *testing.T, b []byte, context string) {
		was := bytes.Clone(b)
		got, err := s.open(b, context)
		if !bytes.Equal(b, was) {
			t.Error("open has changed what it read")
		}
		switch {
		case len(b) > 0 && b[0] == sealPlain:
			if err != nil || !bytes.Equal(got, b[1:]) {
				t.Errorf("plain: got %q and %v", got, err)
			}
		case bytes.Equal(b, sealed) && context == "job_1 payload":
			if err != nil || string(got) != "a prompt" {
				t.Errorf("got %q and %v", got, err)
			}
		case err == nil:
			t.Errorf("%x is opened, as %q", b, got)
		case !errors.Is(err, errNoKey) && !errors.Is(err, errSealBroken):
			t.Errorf("got %v", err)
		}
		back, err := s.open(s.seal(b, context), context)
		if err != nil || !bytes.Equal(back, b) {
			t.Errorf("sealed and opened: got %q and %v, want %q", back, err, b)
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	for name, s := range map[string]*sealer{"plain": nil, "encrypted": testSealer(b, newSecret)} {
		plain := bytes.Repeat([]byte("x"), 2<<10)
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(plain)))
			b.ReportAllocs()
			for b.Loop() {
				s.seal(plain, "job_1 payload")
			}
		})
		sealed := s.seal(plain, "job_1 payload")
		b.Run(name+", open", func(b *testing.B) {
			b.SetBytes(int64(len(plain)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.open(sealed, "job_1 payload"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
