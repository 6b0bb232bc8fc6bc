// Package boltqueue keeps jobs in one file of this machine, through bbolt. It is the queue
// of a gateway that runs alone; several share one of Redis.
package boltqueue

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/dustin/go-humanize"
	"go.uber.org/zap"

	"github.com/runestone-gateway/runestone/overflow"
)

const (
	// DefaultMaxSize is how large the file may get, in bytes.
	DefaultMaxSize = 1 << 30
	// MinSize is the least that it must be allowed to have, in bytes.
	MinSize = 16 << 20
	// MaxSize is the most that it can be allowed to have, in bytes.
	MaxSize = 1 << 40
)

func init() { caddy.RegisterModule(Embedded{}) }

// Embedded is the module runestone.queues.embedded: jobs are kept in one file, which no other
// process can have open. A job is on the disk before it is acknowledged.
type Embedded struct {
	// Path is the file. Placeholders are resolved. Its directory is created if it is
	// missing. Default: runestone/overflow.db in Caddy's data directory.
	Path string `json:"path,omitempty"`
	// MaxSize is how many bytes the file may have, from 16 MiB to 1 TiB. New jobs
	// are refused when four fifths are in use; the rest is for what becomes of those that are
	// there. The file never gets smaller, but uses room again. Default 1 GiB.
	MaxSize int64 `json:"max_size,omitempty"`

	path string // canonical
}

// CaddyModule implements [caddy.Module].
func (Embedded) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "runestone.queues.embedded", New: func() caddy.Module { return new(Embedded) }}
}

// Provision implements [caddy.Provisioner]. It finds the file's path, and touches nothing.
func (e *Embedded) Provision(caddy.Context) error {
	path := filepath.Join(caddy.AppDataDir(), "runestone", "overflow.db")
	if e.Path != "" {
		var err error
		if path, err = caddy.NewReplacer().ReplaceOrErr(e.Path, true, true); err != nil {
			return fmt.Errorf("path: %w", err)
		}
	}
	resolved, err := canonical(path)
	if err != nil {
		return fmt.Errorf("path %s: %w", path, err)
	}
	e.path = resolved
	return nil
}

// canonical returns the one path of a file that may not be there yet, and its directory neither.
func canonical(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	resolved, err := filepath.EvalSymlinks(path)
	dir, base := filepath.Dir(path), filepath.Base(path)
	if !errors.Is(err, os.ErrNotExist) || dir == path {
		return resolved, err
	}
	if target, err := os.Readlink(path); err == nil { // to what is not there yet
		if !filepath.IsAbs(target) {
			target = filepath.Join(dir, target)
		}
		return canonical(target)
	}
	if dir, err = canonical(dir); err != nil {
		return "", err
	}
	return filepath.Join(dir, base), nil
}

// Validate implements [caddy.Validator].
func (e *Embedded) Validate() error {
	switch {
	case e.MaxSize == 0:
		return nil
	case e.MaxSize < MinSize || e.MaxSize > min(MaxSize, math.MaxInt):
		return fmt.Errorf("max_size is %d bytes; write at least %d (16 MiB) and at most %d", e.MaxSize, MinSize, min(MaxSize, math.MaxInt))
	}
	return nil
}

// Key implements [overflow.Opener]: the canonical path.
func (e *Embedded) Key() string { return "embedded:" + e.path }

// Exists reports whether there is a queue already, without opening it.
func (e *Embedded) Exists() bool {
	_, err := os.Stat(e.path)
	return err == nil
}

// Open implements [overflow.Opener].
func (e *Embedded) Open(logger *zap.Logger) (overflow.Queue, error) {
	size := e.MaxSize
	if size == 0 {
		size = DefaultMaxSize
	}
	q, err := Open(e.path, size, logger)
	if err != nil {
		return nil, err
	}
	return q, nil
}

// UnmarshalCaddyfile sets up the queue from Caddyfile tokens. Syntax:
//
//	embedded {
//		path     <file>   # default runestone/overflow.db in Caddy's data directory
//		max_size <size>   # default 1GiB
//	}
//
// Every option may be left out, and so may the block.
func (e *Embedded) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the queue's name
	if d.NextArg() {
		return d.Errf("unexpected argument '%s' of the embedded queue; put its options in a block", d.Val())
	}
	seen := make(map[string]bool)
	for d.NextBlock(0) {
		name := d.Val()
		if name != "path" && name != "max_size" {
			return d.Errf("unrecognized option '%s' of the embedded queue; use one of max_size, path", name)
		}
		if seen[name] {
			return d.Errf("%s is set twice; remove one of the two", name)
		}
		seen[name] = true
		args := d.RemainingArgs()
		if len(args) != 1 {
			return d.Errf("%s has %d values; give exactly one", name, len(args))
		}
		if err := e.set(d, name, args[0]); err != nil {
			return err
		}
	}
	return nil
}

// set sets an option.
func (e *Embedded) set(d *caddyfile.Dispenser, name, value string) error {
	if name == "path" {
		if e.Path = value; value == "" {
			return d.Err("path has an empty value; write one such as /var/lib/runestone/overflow.db")
		}
		return nil
	}
	size, err := humanize.ParseBytes(value)
	if err != nil || size == 0 || size > math.MaxInt64 {
		return d.Errf("max_size is '%s'; write a size in one word such as 512MiB or 4GiB", value)
	}
	e.MaxSize = int64(size)
	return nil
}

var (
	_ caddyfile.Unmarshaler = (*Embedded)(nil)
	_ caddy.Provisioner     = (*Embedded)(nil)
	_ caddy.Validator       = (*Embedded)(nil)
	_ overflow.Opener       = (*Embedded)(nil)
)
