package overflow

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	maxCallbackURL     = 2048 // bytes
	maxCallbackTimeout = time.Minute
	// maxCallbackRead is how much of a receiver's answer is read, in bytes: enough to use
	// the connection again when all it says is "ok".
	maxCallbackRead = 4 << 10
	// maxCallbackInline is the longest answer that a callback carries, in bytes. A
	// longer one is to be fetched; the specification advises against bodies above 20 KB.
	maxCallbackInline = 64 << 10
	// maxCallbackPause is the longest Retry-After that is honoured.
	maxCallbackPause = 24 * time.Hour
)

// webhook is a message to a client's server: what a Callback job is to send.
type webhook struct {
	ID   string `json:"id"` // the same with every attempt, so that receivers can tell repeats
	URL  string `json:"url"`
	Body []byte `json:"body"`
	// Traceparent is the trace of the request, "" if it was not traced.
	Traceparent string `json:"traceparent,omitempty"`
}

// delivery is what came of an attempt.
type delivery struct {
	verdict verdict
	// after is how long the receiver asked to be left alone, 0 if it did not.
	after  time.Duration
	status int // of the answer, 0 without one
	// blocked is set when the message was not sent because it may not go there.
	blocked bool
	// err says what is wrong, unless verdict is delivered. It holds nothing of what the
	// receiver sent, nor of the URL but its host.
	err string
}

// verdict is what to do after an attempt.
type verdict uint8

const (
	retry     verdict = iota // try again later, if there is an attempt left
	delivered                // the receiver has it
	stop                     // the receiver wants no more
)

// callbacks sends webhooks after the Standard Webhooks specification 1.0.0
// (standardwebhooks.com). It is safe for concurrent use, and needs no closing: idle connections go
// by themselves. A nil one allows none.
type callbacks struct {
	hosts   []string // as callbackHost returns them, with *. before, or * alone
	guard   dialGuard
	secrets [][]byte
	timeout time.Duration
	https   *http.Transport
	http    *http.Transport // for the ranges in guard.private only
}

// newCallbacks returns what sends callbacks, or nil if config is. An error names the
// field as JSON does, and no secret.
func newCallbacks(config *CallbackConfig) (*callbacks, error) {
	if config == nil {
		return nil, nil
	}
	c := &callbacks{timeout: time.Duration(cmp.Or(config.Timeout, DefaultCallbackTimeout))}
	if c.timeout <= 0 || c.timeout > maxCallbackTimeout {
		return nil, fmt.Errorf("timeout must be above 0 and at most %s, not %s", maxCallbackTimeout, c.timeout)
	}
	for i, text := range config.AllowPrivate {
		p, err := netip.ParsePrefix(text)
		if err != nil || p.Addr().Is4In6() || p != p.Masked() {
			return nil, fmt.Errorf("allow_private[%d]: %q is not a range of addresses; write one such as 127.0.0.1/32 or 10.1.0.0/16, with nothing but zeros after its prefix", i, text)
		}
		c.guard.private = append(c.guard.private, p)
	}
	if err := c.setHosts(config.Allow); err != nil {
		return nil, err
	}
	if err := c.setSecrets(config.Secrets); err != nil {
		return nil, err
	}
	idle := cmp.Or(config.PerHost, DefaultCallbackPerHost)
	c.https, c.http = c.guard.transport(true, c.timeout, idle), c.guard.transport(false, c.timeout, idle)
	return c, nil
}

func (c *callbacks) setHosts(allow []string) error {
	if len(allow) == 0 {
		return errors.New("allow is empty; write the hosts that may be called, or * for all")
	}
	for i, text := range allow {
		if text == "*" {
			c.hosts = append(c.hosts, text)
			continue
		}
		below, wild := strings.CutPrefix(text, "*.")
		host, addr, err := callbackHost(below)
		switch {
		case err != nil || wild && addr.IsValid():
			return fmt.Errorf("allow[%d]: %q is not a host; write a name alone, such as hooks.example.com, or *.example.com for all below it, or * for all", i, text)
		case addr.IsValid() && c.guard.check(netip.AddrPortFrom(addr, 443), true) != nil:
			return fmt.Errorf("allow[%d]: %s is not a public address and would never be called; add it to allow_private as well, or remove it", i, text)
		case wild:
			host = "*." + host
		}
		c.hosts = append(c.hosts, host)
	}
	return nil
}

func (c *callbacks) setSecrets(raw []string) error {
	secrets, err := resolveSecrets("secrets", raw)
	if err != nil {
		return err
	}
	if len(secrets) == 0 {
		return errors.New("secrets is empty; write at least one, such as {env.CALLBACK_SECRET}")
	}
	for i, secret := range secrets {
		text, prefixed := strings.CutPrefix(secret, "whsec_")
		key, _ := base64.StdEncoding.DecodeString(text)
		// The decoder is lenient; those of receivers need not be.
		if !prefixed || len(key) < 24 || len(key) > 64 || base64.StdEncoding.EncodeToString(key) != text {
			return fmt.Errorf("secrets[%d] is not whsec_ and the base64 of 24 to 64 bytes; make one with: echo whsec_$(openssl rand -base64 32)", i)
		}
		c.secrets = append(c.secrets, key)
	}
	return nil
}

// check returns the host of a URL at which a client wants to be told, without the port
// and in the one form that hosts are compared in. The error is a sentence for the client.
func (c *callbacks) check(rawURL string) (host string, err error) {
	u, err := c.parse(rawURL)
	if err != nil {
		return "", err
	}
	return u.Hostname(), nil
}

// parse returns a URL, normalised, if it may be called as far as can be told without
// resolving its name. The error is a sentence for the client.
func (c *callbacks) parse(raw string) (*url.URL, error) {
	if c == nil {
		return nil, errors.New("callbacks are not available here")
	}
	if len(raw) > maxCallbackURL {
		return nil, fmt.Errorf("the callback URL is longer than %d bytes", maxCallbackURL)
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Host == "":
		return nil, errBadCallbackURL
	case u.Scheme != "https" && (u.Scheme != "http" || len(c.guard.private) == 0):
		return nil, errors.New("the callback URL must begin with https://")
	case u.User != nil:
		return nil, errors.New("the callback URL must hold neither user name nor password")
	case strings.Contains(raw, "#"):
		return nil, errors.New("the callback URL must have no fragment, which is what follows a #")
	}
	host, addr, err := callbackHost(u.Hostname())
	if err != nil {
		return nil, err
	}
	if !c.allows(host) {
		return nil, fmt.Errorf("the callback host %s is not one that may be called from here", host)
	}
	usual := map[string]string{"https": "443", "http": "80"}[u.Scheme]
	port, err := strconv.ParseUint(cmp.Or(u.Port(), usual), 10, 16)
	switch {
	case err != nil || port == 0:
		return nil, errors.New("the callback URL's port must be from 1 to 65535")
	case addr.IsValid():
		if err := c.guard.check(netip.AddrPortFrom(addr, uint16(port)), u.Scheme == "https"); err != nil {
			return nil, fmt.Errorf("the callback URL cannot be called: %w", err)
		}
	case len(c.guard.private) == 0 && !callbackPort(uint16(port)):
		return nil, errors.New("the callback URL's port must be 443 or 8443")
	}
	u.Host = strings.TrimSuffix(net.JoinHostPort(host, strconv.FormatUint(port, 10)), ":"+usual)
	return u, nil
}

func (c *callbacks) allows(host string) bool {
	return slices.ContainsFunc(c.hosts, func(allowed string) bool {
		below, wild := strings.CutPrefix(allowed, "*")
		return host == allowed || wild && strings.HasSuffix(host, below)
	})
}

var errBadCallbackURL = errors.New("the callback URL must be one such as https://hooks.example.com/jobs")

// send delivers w: one POST, signed with each secret, whose redirects are not followed. attempt
// is the time that is signed. If ctx ends first that is no verdict on the
// receiver: it is retry, and the caller asks ctx.
func (c *callbacks) send(ctx context.Context, w *webhook, attempt time.Time) delivery {
	// Again, since the configuration may be another than when the job was accepted.
	u, err := c.parse(w.URL)
	if err != nil {
		return delivery{blocked: true, err: err.Error()}
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(w.Body))
	if err != nil {
		return delivery{blocked: true, err: "the callback URL cannot be called"}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Runestone")
	req.Header.Set("Webhook-Id", w.ID)
	req.Header.Set("Webhook-Timestamp", strconv.FormatInt(attempt.Unix(), 10))
	req.Header.Set("Webhook-Signature", c.sign(w, attempt))

	transport := c.https
	if u.Scheme == "http" {
		transport = c.http
	}
	// Not an http.Client, which would follow redirects.
	resp, err := transport.RoundTrip(req)
	if err != nil {
		var refused refusal
		return delivery{blocked: errors.As(err, &refused), err: c.failure(err)}
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, maxCallbackRead) // the status has said it all
	return judge(resp, attempt)
}

// sign returns the signatures, one for each secret.
func (c *callbacks) sign(w *webhook, attempt time.Time) string {
	var signatures []string
	for _, secret := range c.secrets {
		mac := hmac.New(sha256.New, secret)
		fmt.Fprintf(mac, "%s.%d.", w.ID, attempt.Unix())
		mac.Write(w.Body)
		signatures = append(signatures, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	return strings.Join(signatures, " ")
}

// judge returns what an answer means, by its status alone.
func judge(resp *http.Response, now time.Time) delivery {
	d := delivery{status: resp.StatusCode}
	switch {
	case d.status >= 200 && d.status <= 299:
		d.verdict = delivered
		return d
	case d.status == http.StatusGone:
		d.verdict = stop
	default:
		d.after = retryAfter(resp.Header.Get("Retry-After"), now)
	}
	// Not resp.Status, whose text is the receiver's.
	d.err = strings.TrimSpace(fmt.Sprintf("the receiver answered %d %s", d.status, http.StatusText(d.status)))
	return d
}

// retryAfter returns how long a Retry-After asks to wait (RFC 9110, section 10.2.3).
func retryAfter(v string, now time.Time) time.Duration {
	// Of one that is too large, ParseUint returns the largest.
	if seconds, err := strconv.ParseUint(v, 10, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		return time.Duration(min(seconds, uint64(maxCallbackPause/time.Second))) * time.Second
	}
	t, err := http.ParseTime(v)
	if err != nil {
		return 0
	}
	return min(max(t.Sub(now), 0), maxCallbackPause)
}

// failure says why there was no answer. It is put together from what is known to
// hold nothing of the receiver's: an error of net/http may quote what it sent.
func (c *callbacks) failure(err error) string {
	var (
		refused     refusal
		name        *net.DNSError
		certificate *tls.CertificateVerificationError
		op          *net.OpError
		slow        net.Error
	)
	switch {
	case errors.As(err, &refused):
		return refused.Error()
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("the receiver did not answer within %s", c.timeout)
	case errors.Is(err, context.Canceled):
		return "the call was broken off"
	case errors.As(err, &name):
		return "the receiver's name cannot be resolved: " + name.Err
	case errors.As(err, &certificate):
		return "the receiver's certificate cannot be verified"
	case errors.As(err, &op) && op.Op == "dial":
		return "the receiver cannot be reached: " + op.Err.Error()
	case errors.As(err, &slow) && slow.Timeout(): // of the TLS handshake, which has its own
		return fmt.Sprintf("the receiver did not answer within %s", c.timeout)
	}
	return "the connection to the receiver broke before it answered"
}

// callbackSchedule is how long to wait before each attempt, as the specification
// suggests: ten of them within 75 hours, 35 minutes and 5 seconds.
var callbackSchedule = [...]time.Duration{
	0,
	5 * time.Second,
	5 * time.Minute,
	30 * time.Minute,
	2 * time.Hour,
	5 * time.Hour,
	10 * time.Hour,
	14 * time.Hour,
	20 * time.Hour,
	24 * time.Hour,
}

// callbackDelay returns how long to wait after so many attempts before the next, a
// fifth more or less, at random, and false if there is no next one.
func callbackDelay(attempt int) (time.Duration, bool) {
	if attempt < 0 || attempt >= len(callbackSchedule) {
		return 0, false
	}
	return jitter(callbackSchedule[attempt]), true
}

// callbackBody returns the event that tells of a job's end, in the shape of OpenAI's
// webhooks. kind is response.completed, response.failed or response.cancelled. The answer is in it,
// with its status code, if it is JSON and not long; otherwise it is to be fetched.
func callbackBody(id, kind string, created time.Time, job, status string, code int, answer []byte) []byte {
	type response struct {
		StatusCode int             `json:"status_code"`
		Body       json.RawMessage `json:"body"`
	}
	type data struct {
		ID       string    `json:"id"`
		Status   string    `json:"status"`
		URL      string    `json:"url"`
		Response *response `json:"response,omitempty"`
	}
	event := struct {
		ID        string `json:"id"`
		Object    string `json:"object"`
		CreatedAt int64  `json:"created_at"`
		Type      string `json:"type"`
		Data      data   `json:"data"`
	}{id, "event", created.Unix(), kind, data{ID: job, Status: status, URL: "/v1/overflow/" + job + "/response"}}
	// encoding/json lets bytes pass that are not UTF-8, at which receivers would balk.
	if len(answer) <= maxCallbackInline && json.Valid(answer) && utf8.Valid(answer) {
		event.Data.Response = &response{code, answer}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // the answer's strings stay as they are
	_ = e.Encode(event)    // fails for invalid JSON only
	return bytes.TrimRight(b.Bytes(), "\n")
}
