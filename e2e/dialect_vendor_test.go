package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// vendor is an upstream that takes what the vendor's API takes, refuses what that refuses, and answers
// as it does. What it refuses fails the test as well.
type vendor struct {
	provider string // what the configuration calls it
	up       *upstream

	routes  func(model string) []string // under which requests for a model come
	inspect func(x *exchange, i *inspection)
	refusal func(f offence) (status int, body string, lines []string)
	streams func(x *exchange, body map[string]any) bool
	whole   func(r reply, model string) string
	events  func(r reply, model string) []string
	media   string // of a stream
	lines   []string
}

// answerer answers a request that was found right.
type answerer func(v *vendor, x *exchange, model string, stream bool)

// says answers with a reply, streamed if that was asked for.
func (r reply) says(v *vendor, x *exchange, model string, stream bool) {
	if !stream {
		x.json(http.StatusOK, v.whole(r, model), v.lines...)
		return
	}
	v.stream(x, v.events(r, model)...)
}

// stream sends events, each a write of its own, and ends the stream.
func (v *vendor) stream(x *exchange, events ...string) {
	x.head(http.StatusOK, append(slices.Clip(v.lines), "Content-Type: "+v.media, "Transfer-Encoding: chunked")...)
	for _, e := range events {
		x.chunk(e)
	}
	x.end()
}

// breaksOff streams the first n events of a reply and then ends, as if that were all.
func (r reply) breaksOff(n int) answerer {
	return func(v *vendor, x *exchange, model string, _ bool) { v.stream(x, v.events(r, model)[:n]...) }
}

// breaksWith streams the first n events of a reply and then something else.
func (r reply) breaksWith(n int, last string) answerer {
	return func(v *vendor, x *exchange, model string, _ bool) {
		v.stream(x, append(slices.Clone(v.events(r, model)[:n]), last)...)
	}
}

// refuses answers with an error.
func refuses(status int, body string, lines ...string) answerer {
	return func(_ *vendor, x *exchange, _ string, _ bool) { x.json(status, body, lines...) }
}

// offer is what came to a model.
type offer struct {
	t  testing.TB
	mu sync.Mutex

	requests []map[string]any
	raw      []*exchange
}

// serve has the vendor offer a model, whose requests are answered by one answerer after another, and by the last
// from then on.
func (v *vendor) serve(t testing.TB, model string, answers ...answerer) *offer {
	t.Helper()
	s := &offer{t: t}
	for _, key := range v.routes(model) {
		v.up.on(key, func(x *exchange) {
			i := &inspection{}
			i.read(x.Body)
			v.inspect(x, i)
			s.mu.Lock()
			s.requests, s.raw = append(s.requests, i.body), append(s.raw, x)
			n := len(s.requests)
			s.mu.Unlock()
			if len(i.offences) > 0 {
				t.Errorf("%s refuses request %d for %s: %v\n%s", v.provider, n, model, i.offences, x.Body)
				status, body, lines := v.refusal(i.offences[0])
				x.json(status, body, append(slices.Clip(lines), v.lines...)...)
				return
			}
			answers[min(n, len(answers))-1](v, x, model, v.streams(x, i.body))
		})
	}
	return s
}

// request returns the nth request, as JSON and as it came.
func (s *offer) request(n int) (map[string]any, *exchange) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if n >= len(s.requests) {
		s.t.Fatalf("there were only %d requests", len(s.requests))
	}
	return s.requests[n], s.raw[n]
}

func (s *offer) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.requests)
}

// want fails the test unless the nth request has a value at a path such as messages.0.content.
func (s *offer) want(n int, path, value string) {
	s.t.Helper()
	body, _ := s.request(n)
	got, err := json.Marshal(at(body, path))
	if err != nil {
		s.t.Fatal(err)
	}
	if !jsonEqual(string(got), value) {
		s.t.Errorf("request %d has %s at %s, want %s", n, got, path, value)
	}
}

// at walks into a value.
func at(v any, path string) any {
	for step := range strings.SplitSeq(path, ".") {
		switch in := v.(type) {
		case map[string]any:
			v = in[step]
		case []any:
			n, err := strconv.Atoi(step)
			if err != nil || n >= len(in) {
				return nil
			}
			v = in[n]
		default:
			return nil
		}
	}
	return v
}

// offence is something that the vendor does not take.
type offence struct{ path, says string }

// inspection is a request that is being looked at.
type inspection struct {
	body     map[string]any
	offences []offence
}

func (i *inspection) read(body []byte) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err := d.Decode(&i.body); err != nil {
		i.fault("", "the body is not JSON: %v", err)
	}
}

func (i *inspection) fault(path, format string, args ...any) {
	i.offences = append(i.offences, offence{path, fmt.Sprintf(format, args...)})
}

// check adds an offence unless ok.
func (i *inspection) check(ok bool, path, format string, args ...any) bool {
	if !ok {
		i.fault(path, format, args...)
	}
	return ok
}

// members refuses those that are not known and the absence of those that are marked with a bang.
func (i *inspection) members(path string, obj map[string]any, known string) {
	names := strings.Fields(known)
	for k, name := range names {
		if required, ok := strings.CutPrefix(name, "!"); ok {
			names[k] = required
			_, has := obj[required]
			i.check(has, join(path, required), "Field required")
		}
	}
	for _, key := range slices.Sorted(maps.Keys(obj)) {
		i.check(slices.Contains(names, key), join(path, key), "Extra inputs are not permitted")
	}
}

func join(path string, step any) string {
	if path == "" {
		return fmt.Sprint(step)
	}
	return fmt.Sprintf("%s.%v", path, step)
}

// text returns a member that has to be a string if it is there.
func (i *inspection) text(path string, obj map[string]any, key string) string {
	v, ok := obj[key]
	s, is := v.(string)
	i.check(!ok || is, join(path, key), "Input should be a valid string")
	return s
}

// object returns v as an object.
func (i *inspection) object(path string, v any) map[string]any {
	obj, ok := v.(map[string]any)
	i.check(ok, path, "Input should be an object")
	return obj
}

// list returns v as a list of objects, nil if it is absent.
func (i *inspection) list(path string, v any) (objects []map[string]any) {
	if v == nil {
		return nil
	}
	all, ok := v.([]any)
	i.check(ok, path, "Input should be a valid list")
	for n, e := range all {
		objects = append(objects, i.object(join(path, n), e))
	}
	return objects
}

// number checks the range of a member, if it is there.
func (i *inspection) number(path string, obj map[string]any, key string, low, high float64, whole bool) (v float64, ok bool) {
	raw, has := obj[key]
	if !has {
		return 0, false
	}
	n, is := raw.(json.Number)
	if !i.check(is, join(path, key), "Input should be a valid number") {
		return 0, false
	}
	v, err := n.Float64()
	i.check(err == nil && v >= low && v <= high, join(path, key), "Input should be between %v and %v, not %s", low, high, n)
	if whole {
		_, err := n.Int64()
		i.check(err == nil, join(path, key), "Input should be a valid integer, not %s", n)
	}
	return v, true
}

// oneOf checks a member that is a string of a few, if it is there.
func (i *inspection) oneOf(path string, obj map[string]any, key, values string) string {
	if _, ok := obj[key]; !ok {
		return ""
	}
	s := i.text(path, obj, key)
	i.check(slices.Contains(strings.Fields(values), s), join(path, key), "Input should be one of %s, not %q", values, s)
	return s
}

// flag checks a member that is true or false, if it is there.
func (i *inspection) flag(path string, obj map[string]any, key string) bool {
	v, ok := obj[key]
	b, is := v.(bool)
	i.check(!ok || is, join(path, key), "Input should be a valid boolean")
	return b
}

// matches checks a string by a pattern.
func (i *inspection) matches(path, s string, pattern *regexp.Regexp) {
	i.check(pattern.MatchString(s), path, "String should match pattern '%s': %q", pattern, s)
}

// base64 checks data.
func (i *inspection) base64(path, s string) {
	_, err := base64.StdEncoding.DecodeString(s)
	i.check(err == nil && s != "", path, "invalid base64 data")
}

// noNulls refuses null wherever it is, save below the members named.
func (i *inspection) noNulls(path string, v any, except ...string) {
	switch v := v.(type) {
	case nil:
		i.fault(path, "Input should not be null")
	case map[string]any:
		for key, e := range v {
			if !slices.Contains(except, key) {
				i.noNulls(join(path, key), e, except...)
			}
		}
	case []any:
		for n, e := range v {
			i.noNulls(join(path, n), e, except...)
		}
	}
}

// header checks one header of a request.
func (i *inspection) header(x *exchange, name, want string) {
	got := x.Req.Header.Get(name)
	i.check(got == want, "header "+name, "is %q, not %q", got, want)
}
