package keys

import (
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// Bounds of the configuration.
const (
	maxN           = 1e12
	maxConcurrency = 1e6
	maxUSD         = 1e6
	minWindow      = time.Second
	maxWindow      = 366 * 24 * time.Hour
	lastPriority   = 3
	maxMetadata    = 16
	maxMetadataLen = 4096
	minSecret      = 16
)

// Routes are the kinds of calls that a key may be bound to.
var Routes = []string{"chat", "completions", "embeddings", "responses", "messages", "count_tokens", "overflow", "other"}

// ErrInvalid is what is wrong with a key or with its limits. What wraps it says which, where, and what
// to write instead, without any secret.
var ErrInvalid = errors.New("invalid key")

var (
	validName   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	placeholder = regexp.MustCompile(`^(\{(env|file)\.[^{}]+\})+$`)
)

// Validate returns an error that names what is out of range. It resolves and reads nothing.
func (c *Config) Validate() error {
	seen := make(map[string]bool)
	for i, k := range c.Keys {
		if k == nil {
			return fmt.Errorf("%w %d: it is null; remove it", ErrInvalid, i+1)
		}
		if err := k.Validate(); err != nil {
			return err
		}
		if seen[k.Name] {
			return fmt.Errorf("%w %s: the name is there twice; put both secrets into one key, or give one another name", ErrInvalid, k.Name)
		}
		seen[k.Name] = true
	}
	if err := c.Limits.validate(); err != nil {
		return fmt.Errorf("limits: %w", err)
	}
	if err := validateModelLimits(c.ModelLimits); err != nil {
		return err
	}
	if c.Redis != nil {
		return c.Redis.validate()
	}
	return nil
}

// Validate returns an error that wraps [ErrInvalid] and names what is out of range. It resolves and
// reads nothing.
func (k *Key) Validate() error {
	if err := k.wellFormed(); err != nil {
		return err
	}
	for _, route := range k.Routes {
		if !slices.Contains(Routes, route) {
			return fmt.Errorf("%w %s: routes has '%s', which there is not; routes are %s", ErrInvalid, k.Name, route, strings.Join(Routes, ", "))
		}
	}
	return nil
}

// wellFormed is Validate for what is stored already: a newer node may know routes that this one does not.
func (k *Key) wellFormed() error {
	if !validName.MatchString(k.Name) {
		// A text that is no name may be a secret in the wrong place.
		return fmt.Errorf("%w: a name is missing or has other characters than letters, digits, dots, dashes and underscores, at most 64", ErrInvalid)
	}
	if IsSecret(k.Name) {
		return fmt.Errorf("%w: a secret stands where the name should", ErrInvalid)
	}
	if err := k.validate(); err != nil {
		return fmt.Errorf("%w %s: %w", ErrInvalid, k.Name, err)
	}
	return nil
}

func (k *Key) validate() error {
	if len(k.Secrets) == 0 && !k.Disabled {
		return errors.New("it has no secret; give it one, such as {env.TEAM_A_KEY} or a sha256")
	}
	for i := range k.Secrets {
		if err := k.Secrets[i].validate(); err != nil {
			return fmt.Errorf("secret %d %w", i+1, err)
		}
	}
	for _, m := range k.Models {
		if m == "" || strings.Contains(strings.TrimSuffix(m, "*"), "*") {
			return errors.New("models has one that is empty, or has a * elsewhere than at its end; write names such as smart or gpt-*")
		}
	}
	if slices.Contains(k.Routes, "") {
		return errors.New("routes has one that is empty; remove it")
	}
	if k.Priority < 0 || k.Priority > lastPriority {
		return fmt.Errorf("priority is %d; write 0, which is served first, to %d", k.Priority, lastPriority)
	}
	size := 0
	for name, value := range k.Metadata {
		size += len(name) + len(value)
	}
	if len(k.Metadata) > maxMetadata || size > maxMetadataLen {
		return fmt.Errorf("metadata has more than %d entries or %d bytes; remove some", maxMetadata, maxMetadataLen)
	}
	if err := k.Limits.validate(); err != nil {
		return fmt.Errorf("limits: %w", err)
	}
	return validateModelLimits(k.ModelLimits)
}

func (s *Secret) validate() error {
	switch {
	case s.SHA256 != "" && s.Secret != "":
		return errors.New("has both sha256 and secret; remove one")
	case s.SHA256 != "":
		if sum, err := hex.DecodeString(s.SHA256); err != nil || len(sum) != len(digest{}) {
			return errors.New("has a sha256 that is not 64 hexadecimal digits; make it with: printf %s \"$SECRET\" | sha256sum")
		}
	case s.Secret == "":
		return errors.New("has neither sha256 nor secret")
	case !placeholder.MatchString(s.Secret):
		return errors.New("stands there in the open; write a placeholder such as {env.TEAM_A_KEY} or {file./run/secrets/team-a}, or its sha256")
	}
	return nil
}

func validateModelLimits(limits map[string]*Limits) error {
	for _, model := range slices.Sorted(maps.Keys(limits)) {
		if model == "" || len(model) > 256 {
			return errors.New("model_limits has a model whose name is empty or longer than 256 bytes")
		}
		if err := limits[model].validate(); err != nil {
			return fmt.Errorf("model_limits: %q: %w", model, err)
		}
	}
	return nil
}

// validate is called on nil too.
func (l *Limits) validate() error {
	if l == nil {
		return nil
	}
	if err := l.Requests.validate(); err != nil {
		return fmt.Errorf("requests: %w", err)
	}
	if err := l.Tokens.validate(); err != nil {
		return fmt.Errorf("tokens: %w", err)
	}
	if l.Concurrency < 0 || l.Concurrency > maxConcurrency {
		return fmt.Errorf("concurrency is %d; write 1 to %d", l.Concurrency, int64(maxConcurrency))
	}
	if b := l.Budget; b != nil {
		if math.IsNaN(b.USD) || b.USD < 1e-6 || b.USD > maxUSD {
			return fmt.Errorf("budget: usd is %v; write 0.000001 to %d", b.USD, int64(maxUSD))
		}
		if err := validateWindow("period", b.Period); err != nil {
			return fmt.Errorf("budget: %w", err)
		}
	}
	return nil
}

func (r *Rate) validate() error {
	if r == nil {
		return nil
	}
	if r.N < 1 || r.N > maxN {
		return fmt.Errorf("n is %d; write 1 to %d", r.N, int64(maxN))
	}
	return validateWindow("window", r.Window)
}

func validateWindow(what string, d caddy.Duration) error {
	if w := time.Duration(d); w < minWindow || w > maxWindow {
		return fmt.Errorf("%s is %v; write 1s to 366d", what, w)
	}
	return nil
}

func (r *Redis) validate() error {
	switch {
	case r.URL == "":
		return errors.New("redis: url is missing; write the server's, such as {env.REDIS_URL} or redis://localhost:6379")
	case r.Name != "" && !validName.MatchString(r.Name):
		return errors.New("redis: name has other characters than letters, digits, dots, dashes and underscores, at most 64")
	case r.Away != "" && r.Away != AwayOpen && r.Away != AwayClosed:
		return fmt.Errorf("redis: away is %q; write %s or %s", r.Away, AwayOpen, AwayClosed)
	case !strings.Contains(r.URL, "{"): // else it is known when it is resolved
		_, err := parseURL(r.URL)
		return err
	}
	return nil
}
