package handler

import (
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/runestone-gateway/runestone/dialect"
	"github.com/runestone-gateway/runestone/provider"
)

// upload is a body that is relayed as it arrives.
type upload struct {
	body        io.Reader
	conn        *http.ResponseController
	interrupted atomic.Bool

	mu      sync.Mutex // held while reading; guards what follows
	told    *dialect.Error
	arrived bool
}

// Read implements io.Reader.
func (u *upload) Read(p []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.interrupted.Load() {
		return 0, os.ErrDeadlineExceeded
	}
	n, err := u.body.Read(p)
	switch {
	case err == io.EOF:
		u.arrived = true
	case err != nil && u.told == nil && !u.interrupted.Load():
		u.told = unreadable(err)
	}
	return n, err
}

// Broken implements provider.ClientUpload.
func (u *upload) Broken() *dialect.Error {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.told
}

// Arrived implements provider.ClientUpload.
func (u *upload) Arrived() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.arrived
}

// Interrupt implements provider.ClientUpload.
func (u *upload) Interrupt() {
	u.interrupted.Store(true)
	_ = u.conn.SetReadDeadline(time.Unix(1, 0)) // of HTTP/1 the connection's, which ends with the request
}

// Interface guard
var _ provider.ClientUpload = (*upload)(nil)
