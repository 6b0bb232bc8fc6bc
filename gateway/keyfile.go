package gateway

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
)

const (
	// lookEvery is how old what is known of a secret's file may be.
	lookEvery = time.Second
	// maxKeyFile is the longest file that is taken for one with a key, in bytes.
	maxKeyFile = 64 << 10
)

// latest returns the key with the secret that its files hold, as far as that is known.
func (k *key) latest() *credential {
	if k.files != nil {
		k.look()
	}
	return k.now.Load()
}

// look reads the files again if that is due, and nobody else is at it.
func (k *key) look() {
	now := k.of.clock()
	if now-time.Duration(k.looked.Load()) < lookEvery || !k.mu.TryLock() {
		return
	}
	defer k.mu.Unlock()
	k.looked.Store(int64(now))
	k.refresh()
}

// replaced looks at once whether used is of an earlier secret.
func (k *key) replaced(used *credential) bool {
	if k.files == nil {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.now.Load() == used { // else another request has just found it
		k.refresh()
	}
	return k.now.Load() != used
}

// refresh reads the files, whose content is all that can be relied on: a
// secret may be replaced by another of the same length in the same moment. What cannot
// be used changes nothing; the file may be about to be written.
func (k *key) refresh() {
	err := regular(k.files)
	var secret string
	if err == nil {
		secret, _, err = resolve(*k.raw)
	}
	if err != nil {
		if !k.stale {
			k.of.logger.Warn("the file of an API key is of no use now: the key that it held before is used on",
				zap.String("key", k.name), zap.Error(err))
		}
		k.stale = true
		return
	}
	k.stale = false
	old := k.now.Load()
	if secret == old.secret() {
		return
	}
	fresh := &credential{key: k, text: &secret, health: holdHealth(k.of.id, secret)}
	k.now.Store(fresh)
	if k.released { // to those under way it is of use even so
		fresh.health.drop()
	} else {
		old.health.drop()
	}
	k.of.logger.Info("an API key has been replaced, since its file has changed", zap.String("key", k.name))
}

var (
	errKeyEmpty = errors.New("is empty: set the variable or the file that it names, or remove the line if the server asks for no key")
	errKeyName  = errors.New("is not a placeholder that is known: write one such as {env.OPENAI_API_KEY} or {file./run/secrets/openai}")
	errKeyLines = errors.New("has more than one line")
)

// resolve returns the secret that a key stands for, and its placeholders, up to the one
// that is the error's.
func resolve(raw string) (secret string, placeholders []string, err error) {
	repl := caddy.NewReplacer().WithoutFile()
	repl.Map(readFile)
	secret, err = repl.ReplaceFunc(raw, func(name string, value any) (any, error) {
		placeholders = append(placeholders, "{"+name+"}")
		if err, failed := value.(error); failed {
			return nil, fmt.Errorf("cannot be read: %w", err)
		}
		switch {
		case caddy.ToString(value) != "":
			return value, nil
		case strings.HasPrefix(name, "env."), strings.HasPrefix(name, "file."):
			return nil, errKeyEmpty
		}
		return nil, errKeyName
	})
	secret = strings.TrimSpace(secret)
	switch {
	case err != nil:
	case secret == "":
		err = errKeyEmpty
	case strings.ContainsAny(secret, "\r\n\x00"):
		err = errKeyLines
	}
	return secret, placeholders, err
}

// readFile is Caddy's placeholder {file.*}, save that it returns an error instead
// of logging it and that spaces around the text do not matter.
func readFile(name string) (any, bool) {
	path, ok := strings.CutPrefix(name, "file.")
	if !ok {
		return nil, false
	}
	f, err := os.Open(path)
	if err != nil {
		return err, true
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err == nil && len(text) > maxKeyFile {
		err = fmt.Errorf("%s has more than %d bytes", path, maxKeyFile)
	}
	if err != nil {
		return err, true
	}
	return strings.TrimSpace(string(text)), true
}

// regular returns an error unless all files are such as can be read again.
func regular(files []string) error {
	for _, path := range files {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return fmt.Errorf("%s is not a regular file", path)
		}
	}
	return nil
}
