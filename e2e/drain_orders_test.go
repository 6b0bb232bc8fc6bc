//go:build unix

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// orders are the requests that a test's clients have placed, and what became of them.
type orders struct {
	t     testing.TB
	http  *http.Client
	sites []string // of gateways, host:port; each call goes to one of them

	mu   sync.Mutex
	all  []*order
	last int
}

// order is one request. Once it is placed, only the goroutine that follows it changes it.
type order struct {
	marker   string
	body     string
	priority int
	hook     string // where its end is to be told, "" for nowhere
	tries    int    // until it was acknowledged

	id       string // of its job, "" if only an answer told of it
	replayed string // that answer
	canceled bool   // the client has asked for that

	job    jobView
	answer string // stored
	code   int    // and its status
}

// jobView is what a client sees of a job.
type jobView struct {
	ID, Status string
	Attempt    int
	Position   *int
	Error      *struct{ Code, Message string }
}

func (j *jobView) over() bool {
	return j.Status != "" && j.Status != "queued" && j.Status != "in_progress"
}

func newOrders(t testing.TB, sites ...string) *orders {
	tr := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}
	t.Cleanup(tr.CloseIdleConnections)
	return &orders{t: t, http: &http.Client{Transport: tr, Timeout: 2 * patience}, sites: sites}
}

// order makes one, which is not placed yet.
func (o *orders) order() *order {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.last++
	marker := fmt.Sprintf("order-%06d", o.last)
	return &order{marker: marker, body: drainBody(marker, false, 0), priority: rand.IntN(4)}
}

// call sends one request to one of the gateways.
func (o *orders) call(ctx context.Context, method, path, body string, headers ...string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+o.sites[rand.IntN(len(o.sites))]+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Authorization", "Bearer sk-client-of-the-drain")
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ":")
		req.Header.Set(name, strings.TrimSpace(value))
	}
	res, err := o.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return answer{Response: res, Body: string(b)}, err
}

// post sends an order once.
func (o *orders) post(ctx context.Context, x *order) (answer, error) {
	headers := []string{
		"Content-Type: application/json", "Idempotency-Key: " + x.marker, "Runestone-Priority: " + strconv.Itoa(x.priority),
	}
	if x.hook != "" {
		headers = append(headers, "Prefer: respond-async", "Runestone-Callback: "+x.hook)
	}
	return o.call(ctx, http.MethodPost, chatPath, x.body, headers...)
}

// place sends an order until it is acknowledged, as a client does whose gateway, or whose
// gateway's queue, is away for a while. It reports false if ctx ends first.
func (o *orders) place(ctx context.Context, x *order) bool {
	for ; ctx.Err() == nil; o.wait(ctx, 5*time.Millisecond) {
		x.tries++
		a, err := o.post(ctx, x)
		switch {
		case err != nil:
			continue
		case a.StatusCode == http.StatusServiceUnavailable:
			if a.Header.Get("Retry-After") == "" {
				o.t.Errorf("a 503 without Retry-After: %s", a.Body)
			}
			continue
		case a.StatusCode == http.StatusAccepted:
			var job jobView
			if err := json.Unmarshal([]byte(a.Body), &job); err != nil || job.ID == "" || a.Header.Get("Location") != "/v1/overflow/"+job.ID {
				o.t.Errorf("a 202 at %q with %s", a.Header.Get("Location"), a.Body)
			}
			x.id = job.ID
		case a.Header.Get("Idempotent-Replayed") == "true":
			x.replayed = a.Body // the 202 was lost with the gateway, and the job is done
		default:
			o.t.Errorf("an order is answered %d: %s", a.StatusCode, a.Body)
			return false
		}
		o.mu.Lock()
		o.all = append(o.all, x)
		o.mu.Unlock()
		return true
	}
	return false
}

// wait waits, or for the end of ctx.
func (o *orders) wait(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// placed returns those that were acknowledged so far.
func (o *orders) placed() []*order {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]*order(nil), o.all...)
}

// many places n orders by several clients, made by made unless it is nil, and fails the
// test if they are not all acknowledged in time.
func (o *orders) many(n, clients int, made func(int) *order) {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(o.t.Context(), 4*patience)
	defer cancel()
	var wg sync.WaitGroup
	next := make(chan int)
	for range clients {
		wg.Go(func() {
			for i := range next {
				var x *order
				if made != nil {
					x = made(i)
				} else {
					x = o.order()
				}
				if !o.place(ctx, x) && ctx.Err() != nil {
					o.t.Errorf("%s was not acknowledged", x.marker)
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}

// look reads an order's job, once.
func (o *orders) look(ctx context.Context, x *order, wait int) (gone bool, err error) {
	a, err := o.call(ctx, http.MethodGet, fmt.Sprintf("/v1/overflow/%s?wait=%d", x.id, wait), "")
	switch {
	case err != nil:
		return false, err
	case a.StatusCode == http.StatusNotFound:
		return true, nil
	case a.StatusCode != http.StatusOK:
		return false, fmt.Errorf("status %d: %s", a.StatusCode, a.Body)
	}
	x.job = jobView{}
	return false, json.Unmarshal([]byte(a.Body), &x.job)
}

// cancel asks for an order's end, once.
func (o *orders) cancel(ctx context.Context, x *order) {
	x.canceled = true
	_, _ = o.call(ctx, http.MethodDelete, "/v1/overflow/"+x.id, "")
}

// follow waits until an order's job has ended, and fetches its answer. The error says what is amiss.
func (o *orders) follow(ctx context.Context, x *order) error {
	for !x.job.over() {
		gone, err := o.look(ctx, x, 5)
		switch {
		case gone:
			return fmt.Errorf("%s was acknowledged as %s, and there is no such job", x.marker, x.id)
		case ctx.Err() != nil:
			return fmt.Errorf("%s (%s) has not ended: it is %q, attempt %d; %v", x.marker, x.id, x.job.Status, x.job.Attempt, err)
		case err != nil:
			o.wait(ctx, 20*time.Millisecond)
		}
	}
	for {
		a, err := o.call(ctx, http.MethodGet, "/v1/overflow/"+x.id+"/response", "")
		switch {
		case err == nil && a.StatusCode != http.StatusServiceUnavailable && a.StatusCode != http.StatusAccepted:
			x.answer, x.code = a.Body, a.StatusCode
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("%s (%s): the answer cannot be had: %v", x.marker, x.id, err)
		}
		o.wait(ctx, 20*time.Millisecond)
	}
}

// settle follows all orders to their ends.
func (o *orders) settle(limit time.Duration) {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	next := make(chan *order)
	var wg sync.WaitGroup
	var mu sync.Mutex
	amiss := 0
	for range 8 {
		wg.Go(func() {
			for x := range next {
				if x.id == "" {
					continue
				}
				if err := o.follow(ctx, x); err != nil {
					mu.Lock()
					if amiss++; amiss <= 5 {
						o.t.Error(err)
					}
					mu.Unlock()
				}
			}
		})
	}
	for _, x := range o.placed() {
		next <- x
	}
	close(next)
	wg.Wait()
	if amiss > 5 {
		o.t.Errorf("and so with %d more", amiss-5)
	}
}
