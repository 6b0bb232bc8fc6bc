package keys

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"go.uber.org/zap"
)

// What a change of stored keys may fail with.
var (
	ErrExists    = errors.New("there is a key of this name")
	ErrNotFound  = errors.New("there is no key of this name")
	ErrNotStored = errors.New("the key is in the configuration or in the key file: change it there")
	ErrNoStorage = errors.New("keys are not stored: set stored in the configuration")
	ErrRevoked   = errors.New("the key is revoked")
)

// keepEnded is for how long a secret that has ended is kept, for lists.
const keepEnded = 30 * 24 * time.Hour

// manageTime is how long a change of the stored keys may take.
const manageTime = 20 * time.Second

// Issued is a new secret of a key. It is shown once: what is stored does not tell it.
type Issued struct {
	Key         string
	Secret      Plaintext
	Fingerprint string
	Created     time.Time
	// Ended is when the key's earlier secrets end, if it was rotated.
	Ended time.Time
}

// Listed is a key as it may be shown: without secrets and their hashes.
type Listed struct {
	Name        string             `json:"name"`
	Source      Source             `json:"source"`
	Status      string             `json:"status"` // active, disabled or ended; disabled is what a revoked key is
	Created     time.Time          `json:"created,omitzero"`
	Ends        time.Time          `json:"ends,omitzero"`
	Secrets     []ListedSecret     `json:"secrets"`
	Models      []string           `json:"models,omitempty"`
	Routes      []string           `json:"routes,omitempty"`
	Priority    int                `json:"priority"`
	Metadata    map[string]string  `json:"metadata,omitempty"`
	Limits      *Limits            `json:"limits,omitempty"`
	ModelLimits map[string]*Limits `json:"model_limits,omitempty"`
}

// ListedSecret is a secret as it may be shown.
type ListedSecret struct {
	Fingerprint string    `json:"fingerprint"`
	Status      string    `json:"status"` // active or ended
	Created     time.Time `json:"created,omitzero"`
	Ends        time.Time `json:"ends,omitzero"`
}

// List returns all keys that this node knows, by name.
func (d *Directory) List() []Listed {
	now := d.now()
	status := func(ends time.Time) string {
		if !ends.IsZero() && !now.Before(ends) {
			return "ended"
		}
		return "active"
	}
	list := []Listed{}
	for _, src := range d.current.Load().sources {
		k := src.key
		item := Listed{
			Name: k.Name, Source: src.from, Status: status(k.Ends), Created: k.Created, Ends: k.Ends, Models: k.Models,
			Routes: k.Routes, Priority: k.Priority, Metadata: k.Metadata, Limits: k.Limits, ModelLimits: k.ModelLimits,
			Secrets: []ListedSecret{},
		}
		for i, s := range k.Secrets {
			item.Secrets = append(item.Secrets, ListedSecret{src.digests[i].fingerprint(), status(s.Ends), s.Created, s.Ends})
		}
		live := func(s ListedSecret) bool { return s.Status == "active" }
		switch {
		case k.Disabled:
			item.Status = "disabled"
		case !slices.ContainsFunc(item.Secrets, live):
			item.Status = "ended"
		}
		list = append(list, item)
	}
	slices.SortFunc(list, func(a, b Listed) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// Create stores a new key and returns its secret. The key has everything but secrets. The
// error is ErrExists, ErrNoStorage, one that wraps ErrInvalid, or the storage's.
func (d *Directory) Create(ctx context.Context, k Key) (Issued, error) {
	if len(k.Secrets) > 0 {
		return Issued{}, fmt.Errorf("%w: a secret is made for it and cannot be given", ErrInvalid)
	}
	var issued Issued
	err := d.change(ctx, k.Name, func(old *Key) (*Key, error) {
		if old != nil && !old.Disabled {
			return nil, ErrExists
		}
		now := d.now().UTC().Truncate(time.Second)
		k.Created = now
		issued = k.issue(now)
		return &k, k.Validate()
	})
	if err != nil {
		return Issued{}, err
	}
	return issued, nil
}

// Rotate gives a stored key a new secret and returns it. Those that it had end after a grace, unless they
// end sooner; with a grace of 0 they end now. The error is ErrNotFound, ErrRevoked, ErrNotStored,
// ErrNoStorage or the storage's.
func (d *Directory) Rotate(ctx context.Context, name string, grace time.Duration) (Issued, error) {
	var issued Issued
	err := d.change(ctx, name, func(old *Key) (*Key, error) {
		switch {
		case old == nil:
			return nil, ErrNotFound
		case old.Disabled:
			return nil, ErrRevoked
		}
		now := d.now().UTC()
		ends := now.Add(max(grace, 0))
		k := *old
		k.Secrets = slices.Clone(old.Secrets)
		k.end(ends)
		k.Secrets = slices.DeleteFunc(k.Secrets, func(s Secret) bool { return now.Sub(s.Ends) > keepEnded })
		issued = k.issue(now.Truncate(time.Second))
		issued.Ended = ends
		return &k, k.wellFormed()
	})
	if err != nil {
		return Issued{}, err
	}
	return issued, nil
}

// Revoke ends a stored key and all its secrets now. It may be repeated. The error is ErrNotFound,
// ErrNotStored, ErrNoStorage or the storage's.
func (d *Directory) Revoke(ctx context.Context, name string) error {
	return d.change(ctx, name, func(old *Key) (*Key, error) {
		if old == nil {
			return nil, ErrNotFound
		}
		k := *old
		k.Secrets = slices.Clone(old.Secrets)
		if !k.Disabled {
			k.Disabled, k.Ends = true, d.now().UTC()
		}
		k.end(k.Ends)
		return &k, nil
	})
}

// end ends all secrets, those that end sooner excepted.
func (k *Key) end(at time.Time) {
	for i := range k.Secrets {
		if s := &k.Secrets[i]; s.Ends.IsZero() || s.Ends.After(at) {
			s.Ends = at
		}
	}
}

// issue gives the key a new secret.
func (k *Key) issue(now time.Time) Issued {
	secret := NewSecret()
	sum := digestOf(secret.Reveal())
	k.Secrets = append(k.Secrets, Secret{SHA256: hex.EncodeToString(sum[:]), Created: now})
	return Issued{Key: k.Name, Secret: secret, Fingerprint: sum.fingerprint(), Created: now}
}

// change replaces a stored key, which is nil if there is none, while no other node changes any.
func (d *Directory) change(ctx context.Context, name string, edit func(old *Key) (*Key, error)) error {
	if d.storage == nil {
		return ErrNoStorage
	}
	if !validName.MatchString(name) {
		return (&Key{Name: name}).Validate()
	}
	for _, s := range d.current.Load().sources {
		if s.key.Name == name && s.from != FromStorage {
			return ErrNotStored
		}
	}
	ctx, cancel := context.WithTimeout(ctx, manageTime)
	defer cancel()
	if err := d.storage.Lock(ctx, storedLock); err != nil {
		return fmt.Errorf("locking the stored keys: %w", err)
	}
	defer func() {
		if err := d.storage.Unlock(context.WithoutCancel(ctx), storedLock); err != nil {
			d.log.Error("the lock on the stored keys cannot be removed", zap.Error(err))
		}
	}()
	var old *Key
	text, err := d.storage.Load(ctx, recordOf(name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return fmt.Errorf("reading the stored key: %w", err)
	default:
		if old, err = parseStored(recordOf(name), text); err != nil {
			return fmt.Errorf("the stored key cannot be read: %w", err)
		}
		if old.Name != name { // on a file system that knows no case
			return fmt.Errorf("%w, but for capitals: %s", ErrExists, old.Name)
		}
	}
	fresh, err := edit(old)
	if err != nil {
		return err
	}
	if text, err = json.Marshal(fresh); err != nil {
		return err
	}
	if err := d.storage.Store(ctx, recordOf(name), text); err != nil {
		return fmt.Errorf("storing the key: %w", err)
	}
	if err := d.storage.Store(ctx, storedVersion, []byte(rand.Text())); err != nil {
		return fmt.Errorf("telling other nodes of the key: %w", err)
	}
	_ = d.look(ctx) // it has been logged, and the key is stored
	return nil
}
