package keys

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
)

// ErrRefused is all that Lookup ever says of a secret that is not accepted: whether it is unknown,
// disabled, revoked or has ended is not for whoever presents it to know.
var ErrRefused = errors.New("the API key is not valid")

// Directory finds callers by their secrets. Its methods may be called concurrently.
type Directory struct {
	config  *Config
	storage Storage // nil if no keys are stored
	log     *zap.Logger
	now     func() time.Time
	poll    time.Duration

	current atomic.Pointer[snapshot]

	mu       sync.Mutex // held while sources are read and merged
	settings []source   // of the configuration
	file     *keyFile   // nil if there is none
	stored   *stored    // nil if there is none
	told     map[string]bool

	watch sync.Once
	stop  context.CancelFunc
	ended chan struct{}
}

// source is a key, where it is from, and the digests of its secrets.
type source struct {
	key     *Key
	from    Source
	digests []digest
}

// snapshot is all that a lookup needs. It never changes.
type snapshot struct {
	byDigest map[digest]*grant
	byName   map[string]*grant // with the latest end of any secret
	sources  []source
	decoy    *grant
}

// grant is what a secret is good for.
type grant struct {
	digest  digest
	ends    int64 // in nanoseconds since 1970
	enabled int   // 1 or 0
	caller  *Caller
}

// DirectoryOptions are what a Directory has beside its configuration.
type DirectoryOptions struct {
	// Storage is Caddy's, of which this is all that is needed. Required if keys are stored.
	Storage Storage
	// Logger gets a line for each key that cannot be used, and why. Default: none.
	Logger *zap.Logger
	// Now is the time by which keys end. Default: time.Now.
	Now func() time.Time
	// Poll is how often files and storage are looked at. Default 2s.
	Poll time.Duration
}

// NewDirectory returns the directory of a configuration, with the keys of the configuration and of its file. It
// reads files and variables, and writes nothing. The error says what is wrong without any secret.
//
// Stored keys are there after [Directory.Load].
func NewDirectory(c *Config, o DirectoryOptions) (*Directory, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	d := &Directory{config: c, log: o.Logger, now: o.Now, poll: o.Poll, told: make(map[string]bool), ended: make(chan struct{})}
	if d.log == nil {
		d.log = zap.NewNop()
	}
	if d.now == nil {
		d.now = time.Now
	}
	if d.poll <= 0 {
		d.poll = 2 * time.Second
	}
	if c.Stored {
		if o.Storage == nil {
			return nil, errors.New("keys are to be stored, and there is no storage")
		}
		d.storage = o.Storage
		d.stored = newStored(o.Storage)
	}
	seen := make(map[digest]string)
	for _, k := range c.Keys {
		s, err := resolveKey(k, FromConfig, seen)
		if err != nil {
			return nil, err
		}
		d.settings = append(d.settings, s)
	}
	if c.File != "" {
		d.file = &keyFile{path: c.File}
		if _, err := d.file.read(); err != nil {
			return nil, fmt.Errorf("key file %s: %w", c.File, err)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.merge()
	return d, nil
}

// resolveKey returns a key with its digests. Seen is who has which.
func resolveKey(k *Key, from Source, seen map[digest]string) (source, error) {
	s := source{key: k, from: from, digests: make([]digest, len(k.Secrets))}
	for i := range k.Secrets {
		d, err := k.Secrets[i].digest()
		if err != nil {
			return s, fmt.Errorf("%w %s: secret %d: %w", ErrInvalid, k.Name, i+1, err)
		}
		if other, ok := seen[d]; ok {
			return s, fmt.Errorf("%w %s: secret %d is also one of key %s; give each key secrets of its own", ErrInvalid, k.Name, i+1, other)
		}
		seen[d] = k.Name
		s.digests[i] = d
	}
	return s, nil
}

// digest resolves the secret.
func (s *Secret) digest() (d digest, err error) {
	if s.SHA256 != "" {
		_, err = hex.Decode(d[:], []byte(s.SHA256))
		return d, err
	}
	text, err := caddy.NewReplacer().ReplaceOrErr(s.Secret, true, true)
	if err != nil || text == "" {
		return d, fmt.Errorf("%s is empty; set the variable or the file that it names", s.Secret)
	}
	if len(text) < minSecret || len(text) > maxPresented {
		return d, fmt.Errorf("%s has fewer than %d or more than %d characters", s.Secret, minSecret, maxPresented)
	}
	return digestOf(text), nil
}

// merge makes a snapshot of all sources. Of two keys with one name, or one secret, the first
// is used: of the configuration, then of the file, then of storage. The caller holds mu.
func (d *Directory) merge() {
	s := &snapshot{byDigest: make(map[digest]*grant), byName: make(map[string]*grant), decoy: new(grant)}
	_, _ = rand.Read(s.decoy.digest[:]) // it never fails
	d.add(s, d.settings)
	if d.file != nil {
		d.add(s, d.file.sources)
	}
	if d.stored != nil {
		d.add(s, d.stored.sources)
	}
	d.current.Store(s)
}

func (d *Directory) add(s *snapshot, sources []source) {
	for _, src := range sources {
		name := src.key.Name
		if _, ok := s.byName[name]; ok {
			d.tell("of two keys of one name the one in "+string(src.from)+" is left out", name)
			continue
		}
		caller := newCaller(src.key, d.config.Limits)
		named := &grant{caller: caller}
		for i, sum := range src.digests {
			if other, ok := s.byDigest[sum]; ok {
				d.tell("a secret of a key is also one of "+other.caller.Name+", and is left out", name)
				continue
			}
			g := &grant{digest: sum, ends: ends(src.key.Ends, src.key.Secrets[i].Ends), caller: caller}
			if !src.key.Disabled {
				g.enabled, named.enabled = 1, 1
			}
			named.ends = max(named.ends, g.ends)
			s.byDigest[sum] = g
		}
		s.byName[name] = named
		s.sources = append(s.sources, src)
	}
}

// tell logs something about a key, once.
func (d *Directory) tell(what, name string) {
	if id := what + "\x00" + name; !d.told[id] {
		d.told[id] = true
		d.log.Warn(what, zap.String("key", name))
	}
}

// ends returns when the first of several ends is, in nanoseconds since 1970.
func ends(times ...time.Time) int64 {
	first := int64(math.MaxInt64)
	for _, t := range times {
		if !t.IsZero() && t.Year() < 2200 { // what is later does not fit, and is never
			first = min(first, t.UnixNano())
		}
	}
	return first
}

// Open reports whether anybody may ask, with a key or without: no source of keys is
// configured. A source without keys does not make it open.
func (d *Directory) Open() bool {
	return len(d.config.Keys) == 0 && d.config.File == "" && !d.config.Stored
}

// Lookup returns the caller to whom a secret belongs. Otherwise the error is ErrRefused,
// always the same, after the same work.
//
// It allocates nothing and waits for nobody.
func (d *Directory) Lookup(secret string) (*Caller, error) {
	s := d.current.Load()
	sum := digestOf(secret)
	g, ok := s.byDigest[sum]
	if !ok {
		g = s.decoy
	}
	valid := subtle.ConstantTimeCompare(sum[:], g.digest[:]) & g.enabled & before(d.now().UnixNano(), g.ends)
	if valid != 1 {
		return nil, ErrRefused
	}
	return g.caller, nil
}

// before returns 1 if a < b, which are not negative, and else 0.
func before(a, b int64) int { return int(uint64(a-b) >> 63) }

// Named returns the caller of a name, for work that goes on after its request, such as that of the queue. It is
// ErrRefused if there is none, or none whose secrets would still be accepted.
func (d *Directory) Named(name string) (*Caller, error) {
	g, ok := d.current.Load().byName[name]
	if !ok || g.enabled != 1 || d.now().UnixNano() >= g.ends {
		return nil, ErrRefused
	}
	return g.caller, nil
}
