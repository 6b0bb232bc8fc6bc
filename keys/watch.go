package keys

import (
	"context"
	"time"

	"go.uber.org/zap"
)

// storageTime is how long storage may take for all keys.
const storageTime = 30 * time.Second

// Load reads the stored keys, if there are any, and should be called before the first Lookup. With an
// error the directory is of use all the same, with those stored keys that an earlier directory of the
// process had, if any; Watch goes on trying.
func (d *Directory) Load(ctx context.Context) error { return d.look(ctx) }

// Watch has the directory follow its files and the storage, until Close. It may be called once.
func (d *Directory) Watch() {
	d.watch.Do(func() {
		ctx, cancel := context.WithCancel(context.Background())
		d.stop = cancel
		go func() {
			defer close(d.ended)
			tick := time.NewTicker(d.poll)
			defer tick.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
					within, cancel := context.WithTimeout(ctx, storageTime)
					_ = d.look(within) // it has been logged
					cancel()
				}
			}
		}()
	})
}

// Close ends Watch, and waits for it. Lookup goes on with what is known. It may be called again, and on nil.
func (d *Directory) Close() {
	if d == nil {
		return
	}
	d.watch.Do(func() { close(d.ended) })
	if d.stop != nil {
		d.stop()
	}
	<-d.ended
}

// look reads all that has changed. The error is the storage's.
func (d *Directory) look(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	changed, err := refresh(&d.settings)
	if err != nil {
		d.tell("a secret of the configuration is of no use now, and the one before it is used on: "+err.Error(), "")
	}
	if d.file != nil {
		fresh, err := d.file.read()
		d.report(&d.file.failed, "the key file cannot be used, and the keys before are used on", err)
		if fresh {
			d.log.Info("the key file has changed", zap.Int("keys", len(d.file.sources)))
		}
		changed = changed || fresh
	}
	err = nil
	if d.stored != nil {
		var fresh bool
		var bad []string
		fresh, bad, err = d.stored.read(ctx, d.now())
		if ctx.Err() == nil || err == nil {
			d.report(&d.stored.failed, "the stored keys cannot be read, and those before are used on", err)
		}
		for _, file := range bad {
			d.tell("a stored key cannot be used, and what it was before is used on", file)
		}
		changed = changed || fresh
	}
	if changed {
		d.merge()
	}
	return err
}

// report logs an error once, until there is another or none.
func (d *Directory) report(last *string, what string, err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != "" && text != *last {
		d.log.Error(what, zap.Error(err))
	}
	*last = text
}
