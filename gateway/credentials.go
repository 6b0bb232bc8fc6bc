package gateway

import (
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/runestone-gateway/runestone/breaker"
)

// credentials are the keys of one provider. All methods may be called concurrently.
type credentials struct {
	id     string        // the provider's name
	keys   []*key        // at least one
	turn   atomic.Uint64 // among all keys
	detour atomic.Uint64 // among those that are free, when the one whose turn it is is not
	clock  func() time.Duration
	logger *zap.Logger
}

// key is a place in the configuration for a secret.
type key struct {
	of     *credentials
	name   string   // its placeholder, or its number where it is written in the open
	raw    *string  // as it is written
	files  []string // that are read again when they change
	weight uint64

	now    atomic.Pointer[credential]
	looked atomic.Int64 // the clock's time when the files were last read

	mu       sync.Mutex // held while they are read; guards what follows
	stale    bool       // they cannot be used, which has been logged
	released bool
}

// credential is a key as long as its secret stays the same. Texts that may be
// secret are behind pointers, which no verb of fmt and no encoder of zap follows.
type credential struct {
	key    *key
	text   *string
	health *health
}

// newCredentials resolves the placeholders of a provider's keys. The error names
// the placeholder, never a secret. No keys at all stand for one that is empty.
//
// What is known of a secret outlives the configuration if the next one uses it for a
// provider of the same name. The credentials must be released.
func newCredentials(provider string, keys []APIKey, logger *zap.Logger) (*credentials, error) {
	c := &credentials{id: provider, clock: clock, logger: logger.With(zap.String("provider", provider))}
	for i, config := range keys {
		k := &key{of: c, name: "key " + strconv.Itoa(i+1), raw: &config.Key, weight: uint64(max(config.Weight, 1))}
		secret, placeholders, err := resolve(config.Key)
		if len(placeholders) > 0 {
			k.name = strings.Join(placeholders, "")
		}
		if err != nil {
			c.release()
			return nil, fmt.Errorf("api_key %s %w", strings.TrimPrefix(k.name, "key "), err)
		}
		for _, p := range placeholders {
			if file, ok := strings.CutPrefix(p, "{file."); ok {
				k.files = append(k.files, strings.TrimSuffix(file, "}"))
			}
		}
		if regular(k.files) != nil {
			k.files = nil // a pipe can be read but once
		}
		c.add(k, secret)
	}
	if len(keys) == 0 {
		c.add(&key{of: c, name: "no key", weight: 1}, "")
	}
	return c, nil
}

func (c *credentials) add(k *key, secret string) {
	k.now.Store(&credential{key: k, text: &secret, health: holdHealth(c.id, secret)})
	c.keys = append(c.keys, k)
}

// release lets go of what is shared with other configurations. Requests that are
// under way may go on using c. It may be called again, and on nil.
func (c *credentials) release() {
	if c == nil {
		return
	}
	for _, k := range c.keys {
		k.mu.Lock()
		if !k.released {
			k.released = true
			k.now.Load().health.drop()
		}
		k.mu.Unlock()
	}
}

// several reports whether there is more than one key.
func (c *credentials) several() bool { return len(c.keys) > 1 }

// take returns the key to use next for a model of the provider, by weight among
// those that are neither set aside nor paused for that model, and that have
// not been used by this request (tried). A key that is set aside is among them once
// its time has come, for one request. When all keys are set aside, the one that was
// refused longest ago is better than none: so the client gets to know, and so does the
// gateway when the provider has changed its mind.
//
// If ok is false there is none, and retry is when the first pause ends; 0 when
// that would not help.
//
// A key that is taken must be used: to ask whether there is one is for ready.
func (c *credentials) take(model string, tried ...*credential) (k *credential, retry time.Duration, ok bool) {
	if len(tried) == 0 {
		if k = pick(&c.turn, c.keys).latest(); !k.health.marked.Load() {
			return k, 0, true
		}
	}
	for {
		var room [8]*key
		free, last, retry := c.survey(room[:0], model, tried)
		switch {
		case len(free) > 0:
			if k = pick(&c.detour, free).now.Load(); k.health.claim(c.clock) {
				return k, 0, true
			}
			// Another request was faster, and tries it for all.
		case last != nil:
			last.health.ask()
			return last, 0, true
		default:
			return nil, retry, false
		}
	}
}

// ready reports whether take would return a key, which it may not a moment later.
func (c *credentials) ready(model string, tried ...*credential) (retry time.Duration, ok bool) {
	for _, at := range c.keys {
		if k := at.now.Load(); !k.health.marked.Load() && !slices.Contains(tried, k) {
			return 0, true
		}
	}
	var room [8]*key
	free, last, retry := c.survey(room[:0], model, tried)
	return retry, len(free) > 0 || last != nil
}

// survey appends to free the keys that may be used. If there is none, last is the
// one to use all the same, if any, and retry is what take returns.
func (c *credentials) survey(free []*key, model string, tried []*credential) (_ []*key, last *credential, retry time.Duration) {
	var now, oldest time.Duration
	idle := false // one is free, but this request has used it
	for _, at := range c.keys {
		k := at.latest()
		var s standing
		if k.health.marked.Load() {
			if now == 0 {
				now = c.clock()
			}
			s = k.health.standing(model, now)
		}
		used := len(tried) > 0 && slices.Contains(tried, k)
		switch {
		case s.refused > 0 && (now < s.due || used):
			if s.paused == 0 && !used && (last == nil || s.refused < oldest) {
				last, oldest = k, s.refused
			}
		case s.paused > 0:
			if retry == 0 || s.paused < retry {
				retry = s.paused
			}
		case used:
			idle = true
		default:
			free = append(free, at)
		}
	}
	switch {
	case len(free) > 0, idle:
		return free, nil, 0
	case retry > 0:
		return free, nil, retry
	}
	return free, last, 0
}

// spread is 2^64 divided by the golden ratio: its multiples are spread evenly over
// 64 bits, however many there are.
const spread = 0x9e3779b97f4a7c15

// pick chooses by weight. A key is never more than a few calls ahead of its share or
// behind, and no rhythm of the requests can fall in with the choices.
func pick(turn *atomic.Uint64, keys []*key) *key {
	if len(keys) == 1 {
		return keys[0]
	}
	var total uint64
	for _, k := range keys {
		total += k.weight
	}
	at, _ := bits.Mul64(turn.Add(spread), total)
	i := 0
	for ; at >= keys[i].weight; i++ {
		at -= keys[i].weight
	}
	return keys[i]
}

// secret is what to present to the provider.
func (k *credential) secret() string { return *k.text }

// String returns the key's name.
func (k *credential) String() string { return k.key.name }

// refused notes that the provider has answered a call with this key with 401 or
// 403. It returns whether the key's file holds another secret by now: then take
// offers it again. Otherwise the key may have been set aside; see [health.refuse].
func (k *credential) refused(status int) (renewed bool) {
	if k.key.replaced(k) {
		return true
	}
	c, others := k.key.of, 0
	now := c.clock()
	for _, other := range c.keys {
		if h := other.now.Load().health; h != k.health && h.standing("", now).refused == 0 {
			others++
		}
	}
	wait, aside := k.health.refuse(status, now, others > 0)
	switch {
	case !aside:
	case others > 0:
		c.logger.Warn("the provider has refused an API key, which is set aside",
			zap.Stringer("key", k), zap.Int("status", status), zap.Duration("tried_again_in", wait), zap.Int("keys_left", others))
	default:
		c.logger.Error("the provider has refused the last API key, which stays in use: set a valid one",
			zap.Stringer("key", k), zap.Int("status", status))
	}
	return false
}

// pause keeps the key away from one of the provider's models, for which it has
// been answered 429: providers count each model apart. A pause never shortens the
// one that is under way, and is at most breaker.MaxPause.
func (k *credential) pause(model string, d time.Duration) {
	k.health.pause(model, k.key.of.clock(), min(d, breaker.MaxPause))
}

// accepted notes an answer below 400: the key is valid.
func (k *credential) accepted() {
	if k.health.marked.Load() && k.health.accept() {
		k.key.of.logger.Info("the provider accepts an API key again", zap.Stringer("key", k))
	}
}

// allRefused reports whether there is no key that the provider takes.
func (c *credentials) allRefused() bool {
	now := c.clock()
	return !slices.ContainsFunc(c.keys, func(k *key) bool {
		h := k.now.Load().health
		return !h.marked.Load() || h.standing("", now).refused == 0
	})
}

// CredentialStatus is a provider's key at one moment. It holds no secret.
type CredentialStatus struct {
	// Name is the key's placeholder, or its number ("key 2") where it is written in the open.
	Name string `json:"name"`
	// State is ok, paused (the provider has answered 429) or refused (401 or 403).
	State string `json:"state"`
	// For is how long, in seconds, it is sure to be paused, or until a refused one is tried again,
	// unless there is no other.
	For float64 `json:"for_seconds,omitempty"`
	// Models are those for which it is paused.
	Models []string `json:"models,omitempty"`
}

// status returns the keys as they are configured. It holds no secret.
func (c *credentials) status() []CredentialStatus {
	now := c.clock()
	all := make([]CredentialStatus, len(c.keys))
	for i, k := range c.keys {
		all[i] = k.now.Load().health.status(now)
		all[i].Name = k.name
		if all[i].State == "refused" && !c.several() {
			all[i].For = 0
		}
	}
	return all
}
