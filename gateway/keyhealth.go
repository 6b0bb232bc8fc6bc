package gateway

import (
	"crypto/sha256"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// A key that was refused is tried again after a while, at the cost of one more call for
// the request that tries it: first after firstTrial, since a key is often made valid by
// hand within minutes, then after twice as long each time up to lastTrial, so that one that was
// forgotten in the configuration costs next to nothing.
const (
	firstTrial = time.Minute
	lastTrial  = time.Hour
)

// manyForbidden is how many answers 403 in a row, with none below 400 between them, are
// taken to be about the key. A single one may be about the model or the request.
const manyForbidden = 3

// health is what is known of a secret. It is kept as long as any configuration
// uses the secret, so that a reload forgets neither a refusal nor a pause, and nothing is left of
// a secret that is gone.
type health struct {
	id     [sha256.Size]byte // in healthPool
	marked atomic.Bool       // something is held against it

	mu        sync.Mutex
	pauses    map[string]time.Duration // until when, by model
	over      time.Duration            // when the last of them ends
	forbidden int                      // answers 403 in a row
	refused   time.Duration            // when it last was, 0 when it is not set aside
	wait, due time.Duration            // how long for, and until when
	lease     time.Duration            // until when others leave it to the request that tries it
	asked     bool                     // used since it was refused
}

// healthPool keeps the health of secrets over reloads.
var healthPool = caddy.NewUsagePool()

// holdHealth returns the health of a secret of a provider. It must be dropped.
func holdHealth(provider, secret string) *health {
	sum := sha256.Sum256([]byte(provider + "\x00" + secret))
	value, _, _ := healthPool.LoadOrNew(sum, func() (caddy.Destructor, error) { return &health{id: sum}, nil })
	return value.(*health)
}

func (h *health) drop() { _, _ = healthPool.Delete(h.id) }

// Destruct implements caddy.Destructor.
func (h *health) Destruct() error { return nil }

// standing is a secret's health at one moment, for one model.
type standing struct {
	paused  time.Duration // for how long yet
	refused time.Duration // when it was set aside, 0 if it is not
	due     time.Duration // when it is to be tried again
}

func (h *health) standing(model string, now time.Duration) standing {
	h.mu.Lock()
	defer h.mu.Unlock()
	if now >= h.over {
		h.expire(now)
	}
	return standing{paused: max(0, h.pauses[model]-now), refused: h.refused, due: max(h.due, h.lease)}
}

// expire forgets the pauses that are over. The lock is held.
func (h *health) expire(now time.Duration) {
	maps.DeleteFunc(h.pauses, func(_ string, until time.Duration) bool { return until <= now })
	h.marked.Store(len(h.pauses) > 0 || h.forbidden > 0 || h.refused > 0)
}

func (h *health) pause(model string, now, d time.Duration) {
	if d <= 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.expire(now)
	if h.pauses == nil {
		h.pauses = make(map[string]time.Duration)
	}
	h.pauses[model] = max(h.pauses[model], now+d)
	h.over = max(h.over, now+d)
	h.marked.Store(true)
}

// refuse notes an answer 401 or 403. It returns whether that has set the key aside, and for
// how long. One 401 does; 403s do only when there are manyForbidden of them and other
// keys are left. Later ones prolong the time only once it is over: they are of calls
// that were under way, or of keys that are used for want of others.
func (h *health) refuse(status int, now time.Duration, othersLeft bool) (wait time.Duration, aside bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.marked.Store(true)
	first := h.refused == 0
	if first && status == http.StatusForbidden {
		if h.forbidden++; h.forbidden < manyForbidden || !othersLeft {
			return 0, false
		}
	}
	h.refused, h.asked = now, false
	if now >= h.due {
		h.wait = min(max(2*h.wait, firstTrial), lastTrial)
		h.due = now + h.wait
	}
	return h.wait, first
}

// claim reports whether a key that seemed free may be used: one that is set aside is tried
// by one request at a time, and by another if that has brought no answer by
// the time it would first have been tried again.
func (h *health) claim(clock func() time.Duration) bool {
	if !h.marked.Load() {
		return true
	}
	now := clock()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.refused == 0 {
		return true
	}
	if now < max(h.due, h.lease) {
		return false
	}
	h.asked, h.lease = true, now+firstTrial
	return true
}

// ask notes that the key is used although it is set aside.
func (h *health) ask() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked = true
}

// accept notes an answer below 400 and returns whether the key was set aside until
// now. An answer to a call from before it was refused proves nothing.
func (h *health) accept() (again bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.forbidden = 0
	if again = h.refused > 0 && h.asked; again {
		h.refused, h.wait, h.due, h.lease, h.asked = 0, 0, 0, 0, false
	}
	h.marked.Store(len(h.pauses) > 0 || h.refused > 0)
	return again
}

func (h *health) status(now time.Duration) CredentialStatus {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.expire(now)
	switch {
	case h.refused > 0:
		return CredentialStatus{State: "refused", For: max(0, max(h.due, h.lease)-now).Seconds()}
	case len(h.pauses) > 0:
		s := CredentialStatus{State: "paused", Models: slices.Sorted(maps.Keys(h.pauses))}
		for _, until := range h.pauses {
			s.For = max(s.For, (until - now).Seconds())
		}
		return s
	}
	return CredentialStatus{State: "ok"}
}
