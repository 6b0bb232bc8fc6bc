package gateway

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/runestone-gateway/runestone/overflow"
)

// engines are the open queues and what drains them, by what they are, so that a
// reload hands over what runs instead of starting anew.
var engines = caddy.NewUsagePool()

// deferral is an app's part in overflow.
type deferral struct {
	setup  *overflow.Setup // nil when it is off
	opener overflow.Opener

	complained atomic.Int64 // when, by clock

	mu      sync.Mutex
	service *overflow.Service // nil until the queue is open
	started bool              // the app is, and has not been stopped
	ended   bool              // the app has been cleaned up
}

// loadOverflow prepares overflow. It opens nothing.
func (a *App) loadOverflow(ctx caddy.Context) error {
	config := a.Overflow
	if config == nil {
		config = new(overflow.Config)
	}
	if config.Off {
		return nil
	}
	var module any
	var err error
	const standard = "runestone.queues.embedded"
	switch _, missing := caddy.GetModule(standard); {
	case config.QueueRaw != nil:
		module, err = ctx.LoadModule(config, "QueueRaw")
	case missing != nil && a.Overflow == nil:
		return nil // a build without it, and nobody asks for it
	default:
		module, err = ctx.LoadModuleByID(standard, nil)
	}
	if err != nil {
		return fmt.Errorf("overflow: loading the queue: %w", err)
	}
	opener, ok := module.(overflow.Opener)
	if !ok {
		return fmt.Errorf("overflow: %T is not a queue", module)
	}
	a.jobs.opener = opener
	if a.jobs.setup, err = overflow.NewSetup(config, &drainServer{a, config.PerProvider}); err != nil {
		return fmt.Errorf("overflow: %w", err)
	}
	return nil
}

// OverflowSetup returns how requests are queued, nil if they are not.
func (a *App) OverflowSetup() *overflow.Setup { return a.jobs.setup }

// Complain logs an error that tends to come with every request for a while, once in a while.
func (a *App) Complain(what string, fields ...zap.Field) {
	now := clock()
	last := a.jobs.complained.Load()
	if (last == 0 || now-time.Duration(last) > complainEvery) && a.jobs.complained.CompareAndSwap(last, int64(now)) {
		a.logger.Error(what, fields...)
	}
}

const complainEvery = 10 * time.Second

// ErrOverflowOff is the error of Deferrals when the configuration has turned overflow off.
var ErrOverflowOff = errors.New("overflow is off")

// Deferrals returns what queues requests and knows their jobs. It opens the queue if
// that has not been done. Besides ErrOverflowOff, the error is an
// overflow.ErrUnavailable and says what is wrong with the queue; it is for the log.
func (a *App) Deferrals() (*overflow.Service, error) {
	j := &a.jobs
	if j.setup == nil {
		return nil, ErrOverflowOff
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.service != nil {
		return j.service, nil
	}
	if j.ended {
		return nil, fmt.Errorf("%w: the configuration is no longer in force", overflow.ErrUnavailable)
	}
	logger := a.logger.Named("overflow")
	value, _, err := engines.LoadOrNew(j.opener.Key(), func() (caddy.Destructor, error) {
		queue, err := j.opener.Open(logger)
		if err != nil {
			return nil, err
		}
		engine := overflow.NewEngine(queue, logger)
		drains.add(engine)
		return openEngine{engine}, nil
	})
	if err != nil {
		return nil, fmt.Errorf("%w: opening the queue: %w", overflow.ErrUnavailable, err)
	}
	j.service = overflow.NewService(value.(openEngine).Engine, j.setup)
	if j.started {
		j.service.Start()
	}
	return j.service, nil
}

// openEngine is an engine in the pool.
type openEngine struct{ *overflow.Engine }

// Destruct implements caddy.Destructor.
func (e openEngine) Destruct() error {
	drains.remove(e.Engine)
	return e.Close()
}

// existing is implemented by a queue that can tell, without opening it, that there is one.
type existing interface{ Exists() bool }

// startOverflow begins to drain the queue. One that the configuration does not
// mention is left alone until it is needed, unless there may be jobs in it.
func (a *App) startOverflow() error {
	j := &a.jobs
	if j.setup == nil {
		return nil
	}
	j.mu.Lock()
	j.started = true
	service := j.service
	j.mu.Unlock()
	if service != nil { // a request was faster
		service.Start()
		return nil
	}
	old, ok := j.opener.(existing)
	if a.Overflow == nil && (!ok || !old.Exists()) {
		return nil
	}
	_, err := a.Deferrals()
	if err != nil && a.Overflow == nil {
		a.logger.Warn("there is an overflow queue from earlier, and it is not drained", zap.Error(err))
		return nil
	}
	return err
}

// stopOverflow has nothing more claimed by this app, and returns its service, if it has one.
func (a *App) stopOverflow() *overflow.Service {
	j := &a.jobs
	j.mu.Lock()
	defer j.mu.Unlock()
	j.started = false
	if j.service != nil {
		j.service.Stop()
	}
	return j.service
}

// finishOverflow waits for the jobs that run, as the process is about to exit.
func (a *App) finishOverflow() {
	service := a.stopOverflow()
	if service == nil || !caddy.Exiting() {
		return
	}
	since := time.Now()
	if at := exit.since.Load(); at != nil {
		since = *at
	}
	service.Finish(since)
}

// releaseOverflow lets go of the queue.
func (a *App) releaseOverflow() error {
	j := &a.jobs
	j.mu.Lock()
	defer j.mu.Unlock()
	j.ended = true
	if j.service == nil {
		return nil
	}
	_, err := engines.Delete(j.opener.Key())
	return err
}

// drains are the engines in the process that want to know when a target has room.
var drains engineList

type engineList struct {
	mu   sync.Mutex
	list atomic.Pointer[[]*overflow.Engine]
}

func (l *engineList) add(e *overflow.Engine) {
	l.change(func(list []*overflow.Engine) []*overflow.Engine { return append(list, e) })
}

func (l *engineList) remove(e *overflow.Engine) {
	l.change(func(list []*overflow.Engine) []*overflow.Engine {
		kept := list[:0]
		for _, other := range list {
			if other != e {
				kept = append(kept, other)
			}
		}
		return kept
	})
}

func (l *engineList) change(f func([]*overflow.Engine) []*overflow.Engine) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []*overflow.Engine
	if old := l.list.Load(); old != nil {
		list = append(list, *old...)
	}
	list = f(list)
	l.list.Store(&list)
}

// freed tells them. Every call that ends comes by here.
func (l *engineList) freed() {
	if list := l.list.Load(); list != nil {
		for _, e := range *list {
			e.Freed()
		}
	}
}

// credentialOwner returns a hash of the credential in headers, "" without one. The same key is the
// same owner, in whichever header it comes.
func credentialOwner(h http.Header) string {
	credential := ""
	if v := h["Authorization"]; len(v) > 0 {
		credential = v[0]
		if scheme, token, ok := strings.Cut(v[0], " "); ok && strings.EqualFold(scheme, "Bearer") {
			credential = token
		}
	} else if v := h["X-Api-Key"]; len(v) > 0 {
		credential = v[0]
	}
	if credential = strings.TrimSpace(credential); credential == "" {
		return ""
	}
	sum := sha256.Sum256([]byte("runestone owner\x00" + credential))
	return "cred_" + hex.EncodeToString(sum[:12])
}
