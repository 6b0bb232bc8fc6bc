package keys

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

// Storage is what is needed of certmagic.Storage, as which Caddy keeps what it stores. Load and List
// return fs.ErrNotExist for what is not there.
type Storage interface {
	Lock(ctx context.Context, name string) error
	Unlock(ctx context.Context, name string) error
	Store(ctx context.Context, key string, value []byte) error
	Load(ctx context.Context, key string) ([]byte, error)
	List(ctx context.Context, path string, recursive bool) ([]string, error)
}

// What is in storage: one file for each key, and one that changes with every change of any, so that
// nodes need look at nothing else.
const (
	storedFolder  = "runestone/keys"
	storedVersion = "runestone/keys.version"
	storedLock    = "runestone_keys"
)

// fullLook is how often all keys are read although none seems to have changed: a node may
// have died between the two.
const fullLook = 5 * time.Minute

// stored is the keys in storage as they were last read.
type stored struct {
	storage Storage
	version string
	looked  time.Time // when all were last read
	raw     map[string][]byte
	keys    map[string]*Key // by name
	sources []source
	failed  string
}

// remembered is what was last read of each storage, for a configuration that finds it away.
var remembered sync.Map // from storageID to *stored

// storageID returns what a storage is, as far as it says so.
func storageID(s Storage) string {
	if named, ok := s.(fmt.Stringer); ok {
		return fmt.Sprintf("%T %s", s, named)
	}
	return fmt.Sprintf("%T", s)
}

func newStored(s Storage) *stored {
	fresh := &stored{storage: s, keys: make(map[string]*Key)}
	if last, ok := remembered.Load(storageID(s)); ok {
		old := last.(*stored)
		fresh.raw, fresh.keys, fresh.sources = old.raw, old.keys, old.sources
	}
	return fresh
}

// read reads the keys if they have changed. With an error everything stays as it was. Bad are those
// records that cannot be used; their keys stay as they were, too.
func (s *stored) read(ctx context.Context, now time.Time) (changed bool, bad []string, err error) {
	version, err := s.storage.Load(ctx, storedVersion)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, nil, err
	}
	if s.version == string(version) && now.Sub(s.looked) < fullLook && !s.looked.IsZero() {
		return false, nil, nil
	}
	names, err := s.storage.List(ctx, storedFolder, false)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, nil, err
	}
	raw, keys := make(map[string][]byte, len(names)), make(map[string]*Key, len(names))
	for _, file := range names {
		if !strings.HasSuffix(file, ".json") {
			continue // not ours
		}
		text, err := s.storage.Load(ctx, file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return false, nil, err
		}
		k, err := parseStored(file, text)
		if err != nil {
			bad = append(bad, file)
			text, k = s.raw[file], s.keys[strings.TrimSuffix(path.Base(file), ".json")]
			if k == nil {
				continue
			}
		}
		raw[file], keys[k.Name] = text, k
	}
	s.version, s.looked = string(version), now
	s.set(raw, keys)
	return true, bad, nil
}

// set makes keys those that are stored.
func (s *stored) set(raw map[string][]byte, keys map[string]*Key) {
	s.raw, s.keys, s.sources = raw, keys, nil
	for _, k := range keys {
		src := source{key: k, from: FromStorage}
		for i := range k.Secrets {
			d, _ := k.Secrets[i].digest() // a hash, as parseStored has seen
			src.digests = append(src.digests, d)
		}
		s.sources = append(s.sources, src)
	}
	slices.SortFunc(s.sources, func(a, b source) int { return strings.Compare(a.key.Name, b.key.Name) })
	remembered.Store(storageID(s.storage), &stored{raw: raw, keys: keys, sources: s.sources})
}

var errStored = errors.New("the record is no key")

// parseStored reads one record. Other nodes may be newer, so what is not known is no error.
func parseStored(file string, text []byte) (*Key, error) {
	k := new(Key)
	if err := json.Unmarshal(text, k); err != nil {
		return nil, errStored
	}
	if err := k.wellFormed(); err != nil {
		return nil, err
	}
	if !strings.EqualFold(path.Base(file), k.Name+".json") {
		return nil, errStored
	}
	for i := range k.Secrets {
		if k.Secrets[i].SHA256 == "" {
			return nil, errStored
		}
	}
	return k, nil
}

func recordOf(name string) string { return storedFolder + "/" + name + ".json" }
