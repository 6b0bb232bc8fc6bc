package handler

import (
	"io"
	"net/http"
	"os"
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
	arrived     atomic.Bool
	told        atomic.Pointer[dialect.Error] // what went wrong
}

// Read implements io.Reader.
func (u *upload) Read(p []byte) (int, error) {
	if u.interrupted.Load() {
		return 0, os.ErrDeadlineExceeded
	}
	n, err := u.body.Read(p)
	switch {
	case err == io.EOF:
		u.arrived.Store(true)
	case err != nil && !u.interrupted.Load():
		u.told.CompareAndSwap(nil, unreadable(err))
	}
	return n, err
}

// Broken implements provider.ClientUpload.
func (u *upload) Broken() *dialect.Error { return u.told.Load() }

// Arrived implements provider.ClientUpload.
func (u *upload) Arrived() bool { return u.arrived.Load() }

// Interrupt implements provider.ClientUpload.
func (u *upload) Interrupt() {
	u.interrupted.Store(true)
	_ = u.conn.SetReadDeadline(time.Unix(1, 0)) // of HTTP/1 the connection's, which ends with the request
}

// Interface guard
var _ provider.ClientUpload = (*upload)(nil)
