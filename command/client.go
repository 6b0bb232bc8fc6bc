package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/runestone-gateway/runestone/gateway"
)

// adminError is an error that the admin endpoint has answered.
type adminError struct {
	address string
	status  int
	message string // what the gateway says; "" if it is not the gateway that says something
	err     error
}

// Error implements error.
func (e *adminError) Error() string {
	switch {
	case e.status == http.StatusForbidden, e.status == http.StatusInternalServerError:
	case e.status == http.StatusNotFound && (e.message == "" || strings.HasPrefix(e.message, gateway.ErrNotRunning.Error())):
		return fmt.Sprintf("what answers at %s runs no gateway: its configuration has no runestone, it is still starting, or it is not Caddy's admin endpoint: %v", e.address, e.err)
	case e.message != "":
		return e.message
	}
	return fmt.Sprintf("asking %s: %v", e.address, e.err)
}

// Unwrap returns what came back, in Caddy's words.
func (e *adminError) Unwrap() error { return e.err }

// askAdmin returns what the admin endpoint at address answers. If that is an error, so
// is the error: an *adminError. body is sent with it, if there is one.
func askAdmin(address, method, uri string, body io.Reader) ([]byte, error) {
	// The client behind this is used once, so that its connection is to be closed.
	res, err := caddycmd.AdminAPIRequest(address, method, uri, http.Header{"Connection": {"close"}}, body)
	if err != nil {
		// The error has no type, but there is a status in it if there was an answer.
		var status int
		_, _ = fmt.Sscanf(err.Error(), "caddy responded with error: HTTP %d:", &status)
		if status == 0 {
			return nil, fmt.Errorf("no answer from the admin endpoint at %s; start Caddy, or give the endpoint's host:port or unix//path with --address, or its configuration with --config: %w", address, err)
		}
		var told struct {
			Error string `json:"error"`
		}
		_, body, _ := strings.Cut(err.Error(), fmt.Sprintf("HTTP %d: ", status))
		_ = json.Unmarshal([]byte(body), &told) // or nothing is told
		return nil, &adminError{address: address, status: status, message: told.Error, err: err}
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, fmt.Errorf("reading the answer of %s: %w", address, err)
	}
	return text, nil
}

// askJSON reads what the admin endpoint at address answers into v, and returns it as it came.
func askJSON(address, method, uri string, body io.Reader, v any) ([]byte, error) {
	text, err := askAdmin(address, method, uri, body)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, v); err != nil {
		return nil, fmt.Errorf("what answers at %s is not the admin endpoint of a Caddy with Runestone: %w", address, err)
	}
	return text, nil
}

// refusedJob reports whether an error is about one job, so that others may fare better.
func refusedJob(err error) bool {
	var told *adminError
	if !errors.As(err, &told) || told.message == "" ||
		strings.HasPrefix(told.message, gateway.ErrNotRunning.Error()) || strings.HasPrefix(told.message, gateway.ErrOverflowOff.Error()) {
		return false
	}
	return told.status == http.StatusNotFound || told.status == http.StatusConflict
}
