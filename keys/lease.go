package keys

import (
	"fmt"
	"sync/atomic"
	"time"
)

// Lease is a request that was admitted, and counts as under way until it is settled. Its
// zero value is ready for [Limiter.Acquire], and so is one that was refused, or that has been settled. It
// must not be copied. Whoever acquires it may hand it on to other goroutines; then each method may be
// called from any of them.
type Lease struct {
	limiter *Limiter
	held    atomic.Bool // it is to be settled

	nsets, nchecks int
	sets           [scopes]leasedSet
	checks         [maxChecks]check

	remote  *remote // that counts it too, else nil
	id      string  // in Redis
	refusal Refusal // unless Limit is ""
}

type leasedSet struct {
	rules *ruleSet
	entry *entry
	held  bool // the entry counts the lease as under way
}

// check is one limit of a request and how it stood.
type check struct {
	rule   *rule
	set    uint8 // in the lease
	amount int64 // that is taken

	used  int64         // with the request, if it was admitted
	wait  time.Duration // until it would have been admitted; 0 if it was
	reset time.Duration // until nothing of what was used counts
	grow  time.Duration // until less of it does, if nothing is left

	part, partTime int64 // where the request is counted in memory
	remotePart     int64 // and in Redis
}

// left returns how much may be used now.
func (c *check) left() int64 { return max(c.rule.limit-c.used, 0) }

// Refusal is why a request was not admitted.
type Refusal struct {
	// Limit is the name of the limit, such as "key_requests" or "model_tokens". Of several
	// that are reached it is the one that lasts longest. It is "limits_unavailable" if
	// Unavailable is set.
	Limit string
	Kind  Kind
	// N and Window are the limit, in the kind's unit. Window is 0 for concurrency.
	N      int64
	Window time.Duration
	// RetryAfter is after how long the same request will be admitted, if nothing else is until
	// then; of concurrency, which no one can tell, 1s. It is 0 if Never is set.
	RetryAfter time.Duration
	// Never says that the request is larger than the limit, whatever the time.
	Never bool
	// Unavailable says that limits could not be checked: Redis does not answer, and the
	// configuration has it that nothing is admitted meanwhile.
	Unavailable bool
}

// Error says what was reached, in words for the client.
func (r Refusal) Error() string {
	if r.Unavailable {
		return "The limits of this request cannot be checked now. Try again later."
	}
	what := "requests"
	limit := fmt.Sprint(r.N)
	switch r.Kind {
	case Tokens:
		what = "tokens"
	case Spend:
		what = "USD"
		limit = fmt.Sprintf("%.2f", float64(r.N)/1e9)
	case Concurrency:
		return fmt.Sprintf("Limit %s reached: %d requests at a time. Try again when one has ended.", r.Limit, r.N)
	}
	if r.Never {
		return fmt.Sprintf("Limit %s would be exceeded by this request alone: %s %s in %v. Make it smaller.", r.Limit, limit, what, r.Window)
	}
	return fmt.Sprintf("Limit %s reached: %s %s in %v. Try again in %v.", r.Limit, limit, what, r.Window, roundUp(r.RetryAfter, time.Second))
}

// prepare makes the lease one for a request.
func (l *Lease) prepare(of *Limiter, ask *Ask) {
	l.limiter, l.remote, l.refusal = of, nil, Refusal{}
	l.nsets, l.nchecks = 0, 0
	amounts := [kinds]int64{Requests: 1, Tokens: max(ask.Tokens, 0), Spend: nano(ask.USD)}
	// The order is that in which entries are locked.
	if ask.Caller != nil {
		l.add(ask.Caller.own, &amounts)
		l.add(ask.Caller.byModel[ask.Model], &amounts)
	}
	l.add(of.models[ask.Model], &amounts)
}

func (l *Lease) add(set *ruleSet, amounts *[kinds]int64) {
	if set == nil {
		return
	}
	for i := range set.rules {
		rule := &set.rules[i]
		l.checks[l.nchecks] = check{rule: rule, set: uint8(l.nsets), amount: amounts[rule.kind]}
		l.nchecks++
	}
	l.sets[l.nsets] = leasedSet{rules: set}
	l.nsets++
}

// refuse sets the refusal to the limit that is reached for longest.
func (l *Lease) refuse() {
	var worst *check
	for i := range l.checks[:l.nchecks] {
		c := &l.checks[i]
		if c.wait != 0 && (worst == nil || worst.wait != never && (c.wait == never || c.wait > worst.wait)) {
			worst = c
		}
	}
	r := worst.rule
	l.refusal = Refusal{
		Limit: r.name(), Kind: r.kind, N: r.limit, Window: r.window,
		RetryAfter: max(worst.wait, 0), Never: worst.wait == never,
	}
}

// Settle ends the request, which has used so many tokens, of input and output together, and cost
// so much. More than was estimated counts from now on, even beyond a limit; less is given back. A
// negative value stands for the estimate. Only the first of Settle, Return and Cancel does anything;
// none waits for Redis.
func (l *Lease) Settle(tokens int64, usd float64) {
	actual := [kinds]int64{Requests: -1, Tokens: max(tokens, -1), Spend: nano(usd)}
	if usd < 0 {
		actual[Spend] = -1
	}
	l.settle(&actual)
}

// Return ends a request that has failed: it has used no tokens and cost nothing, but was one request.
func (l *Lease) Return() {
	l.settle(&[kinds]int64{Requests: -1})
}

// Cancel ends a request that was not made after all, such as one that is queued and will be
// admitted again when it is run: it counts as nothing.
func (l *Lease) Cancel() {
	l.settle(new([kinds]int64))
}

func (l *Lease) settle(actual *[kinds]int64) {
	if !l.held.CompareAndSwap(true, false) {
		return
	}
	l.limiter.usage.settle(l, actual, l.limiter.time())
	if l.remote != nil {
		l.remote.settle(l, actual)
	}
}

// Limited reports whether any limit holds for the request.
func (l *Lease) Limited() bool { return l.nchecks > 0 || l.refusal.Limit != "" }

// Refused returns why the request was not admitted, if it was not.
func (l *Lease) Refused() (Refusal, bool) { return l.refusal, l.refusal.Limit != "" }

// roundUp returns the next multiple of unit.
func roundUp(d, unit time.Duration) time.Duration {
	return (d + unit - 1).Truncate(unit)
}
