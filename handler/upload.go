package handler

import (
	"io"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/runestone-gateway/runestone/provider"
)

// upload is a body that is relayed as it arrives. What goes wrong with it is an error that says what the client
// is to be told: the provider has no part in it.
type upload struct {
	body        io.Reader
	conn        *http.ResponseController
	interrupted atomic.Bool
}

// Read implements io.Reader.
func (u *upload) Read(p []byte) (int, error) {
	if u.interrupted.Load() {
		return 0, unreadable(os.ErrDeadlineExceeded)
	}
	n, err := u.body.Read(p)
	if err != nil && err != io.EOF {
		return n, unreadable(err)
	}
	return n, err
}

// Interrupt implements provider.Interrupter.
func (u *upload) Interrupt() {
	u.interrupted.Store(true)
	_ = u.conn.SetReadDeadline(time.Unix(1, 0)) // of HTTP/1 the connection's, which ends with the request
}

// Interface guard
var _ provider.Interrupter = (*upload)(nil)
