package keys

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// memoryStorage is a storage that can be away.
type memoryStorage struct {
	name string
	lock sync.Mutex

	mu    sync.Mutex
	files map[string][]byte
	away  bool
	loads int
}

var storages atomic.Int64

func newMemoryStorage() *memoryStorage {
	return &memoryStorage{name: fmt.Sprint(storages.Add(1)), files: make(map[string][]byte)}
}

var errAway = errors.New("storage is away")

func (m *memoryStorage) String() string                       { return m.name }
func (m *memoryStorage) Lock(context.Context, string) error   { m.lock.Lock(); return nil }
func (m *memoryStorage) Unlock(context.Context, string) error { m.lock.Unlock(); return nil }
func (m *memoryStorage) set(away bool)                        { m.mu.Lock(); m.away = away; m.mu.Unlock() }
func (m *memoryStorage) count() int                           { m.mu.Lock(); defer m.mu.Unlock(); return m.loads }

func (m *memoryStorage) Store(_ context.Context, key string, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.away {
		return errAway
	}
	m.files[key] = value
	return nil
}

func (m *memoryStorage) Load(_ context.Context, key string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.loads++
	if m.away {
		return nil, errAway
	}
	if value, ok := m.files[key]; ok {
		return value, nil
	}
	return nil, fs.ErrNotExist
}

func (m *memoryStorage) List(_ context.Context, folder string, _ bool) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.away {
		return nil, errAway
	}
	var names []string
	for name := range m.files {
		if strings.HasPrefix(name, folder+"/") {
			names = append(names, name)
		}
	}
	return names, nil
}

var _ Storage = certmagic.Storage(nil)

func TestStoredKeysAreCreatedRotatedAndRevokedForAllNodes(t *testing.T) {
	t.Parallel()
	for name, storage := range map[string]Storage{"memory": newMemoryStorage(), "files": &certmagic.FileStorage{Path: t.TempDir()}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClock()
			config := &Config{Stored: true}
			a := newTestDirectory(t, config, DirectoryOptions{Storage: storage, Now: c.now})
			b := newTestDirectory(t, config, DirectoryOptions{Storage: storage, Now: c.now})
			accepted := func(secret string) bool {
				t.Helper()
				if err := b.Load(t.Context()); err != nil {
					t.Fatal(err)
				}
				_, errA := a.Lookup(secret)
				_, errB := b.Lookup(secret)
				if errA != errB {
					t.Errorf("one node says %v, another %v", errA, errB)
				}
				return errA == nil
			}
			first, err := a.Create(t.Context(), Key{Name: "team", Models: []string{"smart"}, Limits: &Limits{Requests: rate(5, "1m")}})
			if err != nil || !IsSecret(first.Secret.Reveal()) || !accepted(first.Secret.Reveal()) {
				t.Fatalf("%+v, %v", first, err)
			}
			caller, _ := b.Lookup(first.Secret.Reveal())
			if caller.MayUse("other") || caller.own == nil {
				t.Errorf("%+v", caller)
			}
			second, err := b.Rotate(t.Context(), "team", 24*time.Hour)
			if _ = a.Load(t.Context()); err != nil || !accepted(second.Secret.Reveal()) || !accepted(first.Secret.Reveal()) {
				t.Fatalf("old and new do not work side by side: %v", err)
			}
			if want := c.t.Add(24 * time.Hour); !second.Ended.Equal(want) {
				t.Errorf("the first ends at %v", second.Ended)
			}
			c.advance(24*time.Hour - 1)
			if !accepted(first.Secret.Reveal()) {
				t.Error("the first has ended before its time")
			}
			c.advance(1)
			if accepted(first.Secret.Reveal()) || !accepted(second.Secret.Reveal()) {
				t.Error("the first has not ended, or the second has")
			}
			third, err := a.Rotate(t.Context(), "team", 0)
			if err != nil || accepted(second.Secret.Reveal()) || !accepted(third.Secret.Reveal()) {
				t.Errorf("without grace: %v", err)
			}
			if err := a.Revoke(t.Context(), "team"); err != nil || accepted(third.Secret.Reveal()) {
				t.Errorf("revoked: %v", err)
			}
			if _, err := b.Rotate(t.Context(), "team", 0); err != ErrRevoked {
				t.Errorf("rotating what is revoked: %v", err)
			}
			if err := b.Revoke(t.Context(), "team"); err != nil {
				t.Errorf("revoking it again: %v", err)
			}
			anew, err := b.Create(t.Context(), Key{Name: "team"})
			if _ = a.Load(t.Context()); err != nil || !accepted(anew.Secret.Reveal()) || accepted(third.Secret.Reveal()) {
				t.Errorf("a new key of that name: %v", err)
			}
		})
	}
}

func TestChangesThatCannotBeMade(t *testing.T) {
	t.Parallel()
	storage := newMemoryStorage()
	config := &Config{Stored: true, Keys: []*Key{{Name: "fixed", Secrets: []Secret{secretOf("x")}}}}
	d := newTestDirectory(t, config, DirectoryOptions{Storage: storage})
	create := func(k Key) error { _, err := d.Create(t.Context(), k); return err }
	rotate := func(name string) error { _, err := d.Rotate(t.Context(), name, 0); return err }
	if err := create(Key{Name: "team"}); err != nil {
		t.Fatal(err)
	}
	closed := newTestDirectory(t, new(Config), DirectoryOptions{})
	_, errNone := closed.Create(t.Context(), Key{Name: "x"})
	for what, test := range map[string]struct{ got, want error }{
		"a name that is taken":         {create(Key{Name: "team"}), ErrExists},
		"a name of the configuration":  {create(Key{Name: "fixed"}), ErrNotStored},
		"rotating the configuration's": {rotate("fixed"), ErrNotStored},
		"rotating what is not there":   {rotate("none"), ErrNotFound},
		"revoking what is not there":   {d.Revoke(t.Context(), "none"), ErrNotFound},
		"a name that is a path":        {create(Key{Name: "../x"}), ErrInvalid},
		"rotating a path":              {rotate("../x"), ErrInvalid},
		"a secret of one's own":        {create(Key{Name: "own", Secrets: []Secret{secretOf("x")}}), ErrInvalid},
		"a route that there is not":    {create(Key{Name: "own", Routes: []string{"chats"}}), ErrInvalid},
		"limits out of range":          {create(Key{Name: "own", Priority: 9}), ErrInvalid},
		"where nothing is stored":      {errNone, ErrNoStorage},
	} {
		if !errors.Is(test.got, test.want) {
			t.Errorf("%s: %v, want %v", what, test.got, test.want)
		}
	}
	storage.set(true)
	if err := create(Key{Name: "more"}); !errors.Is(err, errAway) {
		t.Errorf("storage is away: %v", err)
	}
}

func TestStorageIsLookedAtAsLittleAsCanBe(t *testing.T) {
	t.Parallel()
	storage, c := newMemoryStorage(), newClock()
	d := newTestDirectory(t, &Config{Stored: true}, DirectoryOptions{Storage: storage, Now: c.now})
	for i := range 20 {
		if _, err := d.Create(t.Context(), Key{Name: fmt.Sprint("k", i)}); err != nil {
			t.Fatal(err)
		}
	}
	before := storage.count()
	for range 10 {
		_ = d.Load(t.Context())
	}
	if n := storage.count() - before; n != 10 {
		t.Errorf("10 looks at what has not changed load %d files", n)
	}
	// A node died between the key and the version: the key is found all the same.
	delete(storage.files, recordOf("k3"))
	c.advance(fullLook)
	_ = d.Load(t.Context())
	if _, err := d.Named("k3"); err != ErrRefused {
		t.Error("a key that is gone is still accepted")
	}
}

// What is stored may have been made by a newer node, or before routes were looked at.
func TestStoredKeysWithUnknownRoutesAreKeys(t *testing.T) {
	t.Parallel()
	storage, c := newMemoryStorage(), newClock()
	d := newTestDirectory(t, &Config{Stored: true}, DirectoryOptions{Storage: storage, Now: c.now})
	issued, err := d.Create(t.Context(), Key{Name: "team", Routes: []string{"chat"}})
	if err != nil {
		t.Fatal(err)
	}
	record := storage.files[recordOf("team")]
	storage.files[recordOf("team")] = bytes.Replace(record, []byte(`"chat"`), []byte(`"chat","telepathy"`), 1)
	c.advance(fullLook)
	if err := d.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	next, err := d.Rotate(t.Context(), "team", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []Issued{issued, next} {
		caller, err := d.Lookup(secret.Secret.Reveal())
		if err != nil || !caller.MayCall("chat") || !caller.MayCall("telepathy") || caller.MayCall("messages") {
			t.Errorf("%+v, %v", caller, err)
		}
	}
}

func TestStorageThatIsAwayOrBrokenChangesNothing(t *testing.T) {
	t.Parallel()
	storage := newMemoryStorage()
	config := &Config{Stored: true}
	d := newTestDirectory(t, config, DirectoryOptions{Storage: storage})
	issued, err := d.Create(t.Context(), Key{Name: "team"})
	if err != nil {
		t.Fatal(err)
	}
	storage.set(true)
	if err := d.Load(t.Context()); !errors.Is(err, errAway) {
		t.Errorf("%v", err)
	}
	// A reload while storage is away goes on with what was known before.
	next, err := NewDirectory(config, DirectoryOptions{Storage: storage})
	if err != nil {
		t.Fatal(err)
	}
	if err := next.Load(t.Context()); !errors.Is(err, errAway) {
		t.Errorf("%v", err)
	}
	for _, d := range []*Directory{d, next} {
		if _, err := d.Lookup(issued.Secret.Reveal()); err != nil {
			t.Error(err)
		}
	}
	storage.set(false)
	storage.files[recordOf("team")] = []byte(`{"name":`)
	storage.files[recordOf("bad")] = []byte(`{"name":"other","secrets":[]}`)
	storage.files[storedFolder+"/x.tmp"] = []byte(`x`)
	storage.files[storedVersion] = []byte("another")
	if err := next.Load(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := next.Lookup(issued.Secret.Reveal()); err != nil {
		t.Error("a record that cannot be read ends the key")
	}
}

func TestRotationUnderLoadRefusesNoValidSecret(t *testing.T) {
	t.Parallel()
	storage := newMemoryStorage()
	config := &Config{Stored: true}
	admin := newTestDirectory(t, config, DirectoryOptions{Storage: storage})
	issued, err := admin.Create(t.Context(), Key{Name: "team"})
	if err != nil {
		t.Fatal(err)
	}
	node := newTestDirectory(t, config, DirectoryOptions{Storage: storage, Poll: time.Millisecond})
	node.Watch()
	var current atomic.Pointer[Directory]
	current.Store(node)
	stop := make(chan struct{})
	var all sync.WaitGroup
	first := issued.Secret.Reveal()
	for range 4 {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := current.Load().Lookup(first); err != nil {
					t.Error("a valid secret is refused")
					return
				}
			}
		})
	}
	for range 5 {
		if issued, err = admin.Rotate(t.Context(), "team", time.Hour); err != nil {
			t.Fatal(err)
		}
		next := newTestDirectory(t, config, DirectoryOptions{Storage: storage, Poll: time.Millisecond}) // a reload
		next.Watch()
		current.Swap(next).Close()
		if _, err := next.Lookup(issued.Secret.Reveal()); err != nil {
			t.Error("the new secret is refused")
		}
	}
	close(stop)
	all.Wait()
	if err := admin.Revoke(t.Context(), "team"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "no node accepts what is revoked", func() bool {
		_, err := current.Load().Lookup(issued.Secret.Reveal())
		return err != nil
	})
}

func TestNothingThatIsShownHoldsASecretOrItsHash(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	core := zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(&out), zap.DebugLevel)
	log := zap.New(core)
	d := newTestDirectory(t, &Config{Stored: true}, DirectoryOptions{Storage: newMemoryStorage(), Logger: log})
	issued, err := d.Create(t.Context(), Key{Name: "team", Metadata: map[string]string{"a": "b"}})
	if err != nil {
		t.Fatal(err)
	}
	secret := issued.Secret.Reveal()
	caller, err := d.Lookup(secret)
	if err != nil {
		t.Fatal(err)
	}
	_, refused := d.Lookup(secret + "x")
	for _, v := range []any{issued, &issued, issued.Secret, caller, *caller, d.List(), digestOf(secret), refused} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(text)
		log.Info("x", zap.Any("v", v))
	}
	sum := digestOf(secret)
	for _, marked := range []string{secret, sha256Of(secret), fmt.Sprint([32]byte(sum)), strings.Trim(fmt.Sprint([32]byte(sum)), "[]")} {
		if strings.Contains(out.String(), marked) {
			t.Errorf("%q is shown", marked)
		}
	}
	list := d.List()
	if len(list) != 1 || list[0].Status != "active" || list[0].Secrets[0].Fingerprint != issued.Fingerprint || list[0].Source != FromStorage {
		t.Errorf("%+v", list)
	}
}
