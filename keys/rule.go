package keys

import (
	"hash/maphash"
	"net/url"
	"strconv"
	"time"
)

// Kind is what a limit counts.
type Kind uint8

// The kinds of limits.
const (
	Requests Kind = iota
	Tokens
	Spend // a budget, in billionths of a USD
	Concurrency
	kinds
)

// Scope is whose usage a limit counts.
type Scope uint8

// The scopes of limits.
const (
	OfKey      Scope = iota // all requests with the key
	OfKeyModel              // requests with the key for the model
	OfModel                 // all requests for the model
	scopes
)

// maxChecks is how many limits a request may have.
const maxChecks = int(scopes) * int(kinds)

// names are what errors and headers call limits.
var names = [scopes][kinds]string{
	{"key_requests", "key_tokens", "key_budget", "key_concurrency"},
	{"key_model_requests", "key_model_tokens", "key_model_budget", "key_model_concurrency"},
	{"model_requests", "model_tokens", "model_budget", "model_concurrency"},
}

// scopeID is whose usage it is: of a caller, of a model, or of a caller with a model.
type scopeID struct{ caller, model string }

func (id scopeID) scope() Scope {
	switch {
	case id.model == "":
		return OfKey
	case id.caller == "":
		return OfModel
	}
	return OfKeyModel
}

// rule is one limit.
type rule struct {
	kind   Kind
	scope  Scope
	limit  int64         // in the kind's unit
	window time.Duration // 0 for concurrency
	key    string        // in Redis, after the prefix
}

func (r *rule) name() string { return names[r.scope][r.kind] }

// ruleSet is the limits of one scope.
type ruleSet struct {
	id    scopeID
	hash  uint64 // of id
	rules []rule
}

var hashSeed = maphash.MakeSeed()

// newRuleSet returns nil for no limits.
func newRuleSet(id scopeID, l *Limits) *ruleSet {
	if l == nil {
		return nil
	}
	s := &ruleSet{id: id, hash: maphash.Comparable(hashSeed, id)}
	if l.Requests != nil {
		s.add(Requests, l.Requests.N, time.Duration(l.Requests.Window))
	}
	if l.Tokens != nil {
		s.add(Tokens, l.Tokens.N, time.Duration(l.Tokens.Window))
	}
	if l.Budget != nil {
		s.add(Spend, nano(l.Budget.USD), time.Duration(l.Budget.Period))
	}
	if l.Concurrency > 0 {
		s.add(Concurrency, l.Concurrency, 0)
	}
	if len(s.rules) == 0 {
		return nil
	}
	return s
}

func (s *ruleSet) add(kind Kind, limit int64, window time.Duration) {
	// What is a caller's is in the caller's hash slot, and what is a model's in the model's. A name
	// has no brace in it that would end the tag early.
	tag := "{k:" + s.id.caller + "}"
	if s.id.caller == "" {
		tag = "{m:" + url.PathEscape(s.id.model) + "}"
	} else if s.id.model != "" {
		tag += url.PathEscape(s.id.model)
	}
	// Another window is another key, since what is in it is cut into other parts.
	key := tag + ":" + names[s.id.scope()][kind] + ":" + strconv.FormatInt(int64(window/time.Millisecond), 36)
	s.rules = append(s.rules, rule{kind: kind, scope: s.id.scope(), limit: limit, window: window, key: key})
}
