package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/runestone-gateway/runestone/dialect"
	"github.com/runestone-gateway/runestone/provider"
)

// Bounds of Provider.Probe.
const (
	minProbe = caddy.Duration(time.Second)
	maxProbe = caddy.Duration(24 * time.Hour)
)

// probeTime is how long a provider may take to answer a probe.
const probeTime = 5 * time.Second

// probed is what the latest probe of a provider has found.
type probed struct {
	at      time.Duration // by clock
	failure string        // what is amiss, "" if nothing is
}

// prober asks the providers of a started app whether they are there: each in a goroutine of its own, until stop.
type prober struct {
	logger *zap.Logger
	ctx    context.Context
	cancel context.CancelFunc
	group  sync.WaitGroup
}

// checkProbe refuses to probe a provider that has nothing to be asked for.
func (u *upstream) checkProbe() error {
	if u.probe > 0 && u.speaks(dialect.Other, "") == "" {
		return fmt.Errorf("providers.%s.probe: the adapter knows no list of models to ask for; remove the option", u.name)
	}
	return nil
}

// startProbes begins to ask the providers whose configuration says so.
func (a *App) startProbes() {
	for _, up := range a.upstreams {
		if up.probe <= 0 {
			continue
		}
		p := a.prober
		if p == nil {
			p = &prober{logger: a.logger}
			p.ctx, p.cancel = context.WithCancel(context.Background())
			a.prober = p
		}
		p.group.Go(func() { p.run(up) })
	}
}

// stopProbes ends that. Nothing is asked any more once it returns.
func (a *App) stopProbes() {
	if a.prober != nil {
		a.prober.cancel()
		a.prober.group.Wait()
		a.prober = nil
	}
}

// run asks a provider again and again. What the configuration before has found holds until it is due again, so
// that reloads, however many, do not add probes; unless that was a failure, which the reload may have mended.
func (p *prober) run(up *upstream) {
	wait := time.Duration(0)
	if last := up.state.probed.Load(); last != nil && last.failure == "" {
		wait = max(0, last.at+jittered(up.probe)-clock())
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case <-p.ctx.Done():
			return
		case <-timer.C:
		}
		failure := p.ask(up)
		if p.ctx.Err() != nil {
			return // which is why it has failed
		}
		p.note(up, failure)
		timer.Reset(jittered(up.probe))
	}
}

// jittered returns d, up to a tenth shorter or longer, so that many gateways do not ask at the same moment.
func jittered(d time.Duration) time.Duration { return d - d/10 + rand.N(d/5+1) }

// note keeps what a probe has found, for Health, and logs what has changed.
func (p *prober) note(up *upstream, failure string) {
	last := up.state.probed.Swap(&probed{clock(), failure})
	was := last != nil && last.failure != ""
	switch {
	case failure != "" && (last == nil || last.failure != failure):
		p.logger.Warn("a provider fails its probe", zap.String("provider", up.name), zap.String("reason", failure))
	case failure == "" && was:
		p.logger.Info("a provider passes its probe again", zap.String("provider", up.name))
	}
}

// ask asks a provider for its models, with one key after the other until it accepts one, and returns what is
// amiss, "" if nothing is. Any answer but an error of the server's will do: it need not have such a list.
func (p *prober) ask(up *upstream) (failure string) {
	for _, k := range up.keys.keys {
		status, err := p.askWith(up, k.latest().secret())
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			return "it did not answer within " + probeTime.String()
		case err != nil:
			return "it could not be reached"
		case status == http.StatusUnauthorized, status == http.StatusForbidden:
			failure = "it refuses the API key with status " + strconv.Itoa(status)
			continue
		case status >= http.StatusInternalServerError:
			return "it answered with status " + strconv.Itoa(status)
		}
		return ""
	}
	return failure
}

func (p *prober) askWith(up *upstream, secret string) (status int, err error) {
	ctx, cancel := context.WithTimeout(p.ctx, probeTime)
	defer cancel()
	r := &provider.Request{API: dialect.Other, Method: http.MethodGet, Path: "/v1/models", Header: http.Header{}}
	req, err := up.provider.NewRequest(ctx, r, provider.Target{Credential: secret})
	if err != nil {
		return 0, err
	}
	resp, err := up.roundTrip(req)
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, maxList)) // so that the connection can be used again
	return resp.StatusCode, err
}

// addProbe adds what the probes of a provider have found. A provider that fails them is still asked: requests may fare
// better, and its breaker learns from those.
func (h *Health) addProbe(up *upstream) {
	if up.probe <= 0 {
		return
	}
	found := up.state.probed.Load()
	if found == nil {
		return
	}
	check := HealthCheck{Status: Pass, ComponentID: up.name}
	if found.failure != "" {
		check.Status, check.Output = Fail, found.failure
		h.Status = worse(h.Status, Warn) // others may serve
	}
	h.Checks["provider:probe"] = append(h.Checks["provider:probe"], check)
}
