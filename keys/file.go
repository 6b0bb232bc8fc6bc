package keys

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"time"
)

const (
	// maxFile is the longest file of keys, and maxKey the longest key in it, in bytes.
	maxFile = 64 << 20
	maxKey  = 1 << 20
	// unchanged is how long a file must not have changed before its times and size are relied on: within
	// the precision of a file system's clock, it may change again without a trace.
	unchanged = 3 * time.Second
)

// keyFile is a file of keys as it was last read.
type keyFile struct {
	path    string
	info    os.FileInfo // nil before it was read
	readAt  time.Time
	raw     []byte // what was in it
	sources []source
	failed  string // why it cannot be used now
}

// read reads the file if it has changed. With an error everything stays as it was.
func (f *keyFile) read() (changed bool, err error) {
	info, err := os.Stat(f.path)
	if err != nil {
		return false, err
	}
	if !info.Mode().IsRegular() {
		return false, errors.New("it is not a regular file")
	}
	if f.same(info) {
		return f.resolve()
	}
	raw, err := readFile(f.path)
	if err != nil {
		return false, err
	}
	if f.info != nil && bytes.Equal(raw, f.raw) {
		f.info, f.readAt = info, time.Now()
		return f.resolve()
	}
	keys, err := ParseFile(raw)
	if err != nil {
		return false, err
	}
	sources, err := resolveAll(keys, FromFile)
	if err != nil {
		return false, err
	}
	f.info, f.readAt, f.raw, f.sources = info, time.Now(), raw, sources
	return true, nil
}

// same reports whether the file is the one that was read.
func (f *keyFile) same(info os.FileInfo) bool {
	old := f.info
	return old != nil && os.SameFile(old, info) && old.ModTime().Equal(info.ModTime()) && old.Size() == info.Size() &&
		f.readAt.Sub(info.ModTime()) > unchanged
}

// resolve resolves the placeholders anew, since what they stand for may have changed.
func (f *keyFile) resolve() (changed bool, err error) {
	return refresh(&f.sources)
}

func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	raw, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(raw) > maxFile {
		err = fmt.Errorf("it has more than %d bytes", maxFile)
	}
	return raw, err
}

// resolveAll resolves keys that are together.
func resolveAll(keys []*Key, from Source) ([]source, error) {
	seen := make(map[digest]string)
	sources := make([]source, 0, len(keys))
	for _, k := range keys {
		s, err := resolveKey(k, from, seen)
		if err != nil {
			return nil, err
		}
		sources = append(sources, s)
	}
	return sources, nil
}

// refresh resolves those secrets again that are in files. With an error nothing changes.
func refresh(sources *[]source) (changed bool, err error) {
	var fresh []source
	for i := range *sources {
		s := &(*sources)[i]
		for j := range s.key.Secrets {
			if !strings.Contains(s.key.Secrets[j].Secret, "{file.") {
				continue
			}
			d, err := s.key.Secrets[j].digest()
			if err != nil {
				return false, fmt.Errorf("%w %s: secret %d: %w", ErrInvalid, s.key.Name, j+1, err)
			}
			if d == s.digests[j] {
				continue
			}
			if fresh == nil {
				fresh = append(fresh, *sources...)
			}
			digests := append([]digest(nil), fresh[i].digests...)
			digests[j] = d
			fresh[i].digests = digests
		}
	}
	if fresh == nil {
		return false, nil
	}
	*sources = fresh
	return true, nil
}

// ParseFile reads what is in a file of keys; see [Config.File]. The error names the line, and nothing
// of what stands there that might be a secret.
func ParseFile(raw []byte) ([]*Key, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	line := func(at int64) int { return 1 + bytes.Count(raw[:at], []byte("\n")) }
	var keys []*Key
	seen := make(map[string]bool)
	text := bytes.TrimSpace(raw)
	if len(text) == 0 {
		return nil, errors.New("it is empty, as a file is that is about to be written; write [] for no keys")
	}
	list := text[0] == '['
	if list {
		_, _ = dec.Token() // that bracket
	}
	for !list || dec.More() {
		k := new(Key)
		at := dec.InputOffset()
		err := dec.Decode(k)
		if errors.Is(err, io.EOF) && !list {
			return keys, nil
		}
		at += int64(len(raw[at:]) - len(bytes.TrimLeft(raw[at:], " \t\r\n,")))
		begun := line(at)
		switch {
		case err != nil:
			return nil, fmt.Errorf("the key that begins in line %d %w", begun, DecodeError(err))
		case dec.InputOffset()-at > maxKey:
			return nil, fmt.Errorf("the key that begins in line %d has more than %d bytes", begun, maxKey)
		}
		if err := k.Validate(); err != nil {
			return nil, fmt.Errorf("line %d: %w", begun, err)
		}
		if seen[k.Name] {
			return nil, fmt.Errorf("line %d: %w %s: the name is there twice; put both secrets into one key", begun, ErrInvalid, k.Name)
		}
		seen[k.Name] = true
		keys = append(keys, k)
	}
	if _, err := dec.Token(); err != nil {
		return nil, fmt.Errorf("line %d: the list does not end with ]", line(dec.InputOffset()))
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("line %d: something follows the list", line(dec.InputOffset()))
	}
	return keys, nil
}

var (
	unknownField = regexp.MustCompile(`unknown field "([a-z0-9_]{1,24})"`)
	fieldName    = regexp.MustCompile(`^[a-z0-9_.]{1,64}$`)
)

// DecodeError says what encoding/json found wrong with a [Key], without any of the text, which may be a secret.
func DecodeError(err error) error {
	var kind *json.UnmarshalTypeError
	if m := unknownField.FindStringSubmatch(err.Error()); m != nil {
		return fmt.Errorf("has an option %s that is not known", m[1])
	}
	if errors.As(err, &kind) && fieldName.MatchString(kind.Field) {
		return fmt.Errorf("has another type of value for %s than %s", kind.Field, kind.Type)
	}
	return errors.New("is no JSON object, or one of its values is not of the form that it should have")
}
