package dialect

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3/packages/respjson"
	"github.com/openai/openai-go/v3/responses"

	"github.com/runestone-gateway/runestone/sse"
)

// respond translates a request that must be one.
func respond(t testing.TB, body string, target *Target) *Translation {
	t.Helper()
	if _, err := ScanOpenAI([]byte(body)); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	tr, err := Translate(Responses, Chat, []byte(body), target)
	if err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return tr
}

// responsesOf returns the way back of a request with further members.
func responsesOf(t testing.TB, members string) Answers {
	t.Helper()
	return respond(t, `{"model":"smart","input":"x"`+members+`}`, &Target{Model: "m", Shown: "smart"}).Answers
}

// nullable are the members that OpenAI requires and that may be null.
var nullable = []string{".Error", ".IncompleteDetails", ".Instructions", ".Code", ".Param", ".Parameters"}

// missingMembers returns the members that OpenAI's SDK calls required and that what it has read does not have.
func missingMembers(v reflect.Value, at string) (missing []string) {
	switch v.Kind() {
	case reflect.Interface, reflect.Pointer:
		if !v.IsNil() {
			return missingMembers(v.Elem(), at)
		}
	case reflect.Slice:
		for i := range v.Len() {
			missing = append(missing, missingMembers(v.Index(i), index(at, i))...)
		}
	case reflect.Struct:
		if as := v.MethodByName("AsAny"); as.IsValid() && as.Type().NumIn() == 0 {
			return missingMembers(as.Call(nil)[0], at)
		}
		read := v.FieldByName("JSON")
		if !read.IsValid() {
			return nil
		}
		for i := range v.NumField() {
			field := v.Type().Field(i)
			where := at + "." + field.Name
			state, ok := read.FieldByName(field.Name).Interface, read.FieldByName(field.Name).IsValid()
			if !ok {
				continue
			}
			given, ok := state().(respjson.Field)
			if !ok {
				continue
			}
			required := field.Tag.Get("api") == "required" || field.Tag.Get("default") != ""
			may := slices.ContainsFunc(nullable, func(end string) bool { return strings.HasSuffix(where, end) })
			if required && !given.Valid() && !(may && given.Raw() == "null") {
				missing = append(missing, where)
			}
			if given.Valid() {
				missing = append(missing, missingMembers(v.Field(i), where)...)
			}
		}
	}
	return missing
}

// wantResponse reads a response as OpenAI's SDK does, which must find every member in it that is required.
func wantResponse(t testing.TB, text []byte) responses.Response {
	t.Helper()
	var r responses.Response
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if missing := missingMembers(reflect.ValueOf(r), "response"); len(missing) > 0 {
		t.Errorf("%v is missing in %s", missing, text)
	}
	return r
}

// followed is a stream of the Responses API as a client follows it.
type followed struct {
	events int
	open   map[string]string // items and parts that have begun, and what they have so far
	items  []json.RawMessage // those that have begun; nil until they end
	output []json.RawMessage // what there is at the end
	ended  bool
	says   []string

	last responses.Response // the one at the end, for [follow]
}

// responsesEvent is what is looked at of an event.
type responsesEvent struct {
	Type           string
	SequenceNumber int `json:"sequence_number"`
	OutputIndex    int `json:"output_index"`
	ContentIndex   int `json:"content_index"`
	SummaryIndex   int `json:"summary_index"`

	Delta, Text, Refusal, Arguments, Input string

	Item     json.RawMessage
	Response json.RawMessage
}

// follow reads a stream as [trace] does, and with OpenAI's SDK, which must find every member that is required.
func follow(stream []byte) (*followed, error) {
	f, err := trace(stream)
	for rest := stream; len(rest) > 0 && err == nil; rest = rest[sse.End(rest):] {
		e := sse.Parse(rest[:sse.End(rest)])
		var u responses.ResponseStreamEventUnion
		if err := json.Unmarshal(e.Data, &u); err != nil {
			return f, fmt.Errorf("%w: %s", err, e.Data)
		}
		if missing := missingMembers(reflect.ValueOf(u), "event"); len(missing) > 0 {
			return f, fmt.Errorf("%v is missing in %s", missing, e.Data)
		}
		f.last = u.Response
	}
	return f, err
}

// trace reads a stream and holds it to its order. What it returns tells what happens:
// +kind begins an item, < a part of it, > and - end them; then there is how the response ends.
func trace(stream []byte) (*followed, error) {
	f := &followed{open: map[string]string{}}
	for rest := stream; len(rest) > 0; {
		n := sse.End(rest)
		if n == 0 {
			return f, fmt.Errorf("an event has no end: %q", rest)
		}
		block := rest[:n]
		rest = rest[n:]
		e := sse.Parse(block)
		var u responsesEvent
		if err := json.Unmarshal(e.Data, &u); err != nil || bytes.Count(block, []byte("\n")) != 3 || bytes.ContainsRune(block, '\r') {
			return f, fmt.Errorf("%w: %q", err, block)
		}
		if u.Type != string(e.Name) || u.SequenceNumber != f.events {
			return f, fmt.Errorf("event %d is %q", f.events, block)
		}
		f.events++
		if err := f.event(&u); err != nil {
			return f, fmt.Errorf("%w: %q", err, block)
		}
	}
	return f, nil
}

func (f *followed) say(format string, args ...any) {
	f.says = append(f.says, fmt.Sprintf(format, args...))
}

func (f *followed) String() string { return strings.Join(f.says, " ") }

// whole checks that the stream has come to its end, and that this repeats what came before.
func (f *followed) whole() error {
	if !f.ended || len(f.open) > 0 {
		return fmt.Errorf("it does not end: %s", f)
	}
	if !slices.EqualFunc(f.items, f.output, func(a, b json.RawMessage) bool { return bytes.Equal(a, b) }) {
		return fmt.Errorf("the items are %s, and at the end %s", f.items, f.output)
	}
	return nil
}

func (f *followed) add(key, more string) error {
	if _, ok := f.open[key]; !ok {
		return fmt.Errorf("%s has not begun", key)
	}
	f.open[key] += more
	f.say("%s", more)
	return nil
}

func (f *followed) end(key, text string) error {
	if was, ok := f.open[key]; !ok || was != text {
		return fmt.Errorf("%s was %q (%t)", key, was, ok)
	}
	return nil
}

func (f *followed) event(u *responsesEvent) error {
	kind := strings.TrimPrefix(u.Type, "response.")
	item, part := fmt.Sprint("item ", u.OutputIndex), fmt.Sprint("part ", u.OutputIndex, " ", u.ContentIndex, " ", u.SummaryIndex)
	if (f.events <= 2) != (kind == "created" || kind == "in_progress") || f.ended {
		return fmt.Errorf("it is out of order")
	}
	switch kind {
	case "created", "in_progress", "completed", "incomplete":
		return f.response(kind, u.Response)
	case "output_item.added", "output_item.done":
		return f.item(kind, item, u)
	case "content_part.added", "reasoning_summary_part.added":
		f.open[part] = ""
		f.say("<")
	case "output_text.delta", "refusal.delta", "reasoning_summary_text.delta":
		return f.add(part, u.Delta)
	case "function_call_arguments.delta", "custom_tool_call_input.delta":
		return f.add(item, u.Delta)
	case "output_text.annotation.added":
		if _, ok := f.open[part]; !ok {
			return fmt.Errorf("its part is not open")
		}
	case "output_text.done", "reasoning_summary_text.done":
		return f.end(part, u.Text)
	case "refusal.done":
		return f.end(part, u.Refusal)
	case "function_call_arguments.done":
		return f.end(item, u.Arguments)
	case "custom_tool_call_input.done":
		return f.end(item, u.Input)
	case "content_part.done", "reasoning_summary_part.done":
		delete(f.open, part)
		f.say(">")
	default:
		return fmt.Errorf("there is no such event")
	}
	return nil
}

func (f *followed) item(kind, key string, u *responsesEvent) error {
	var item struct {
		Type, Name, Status string
		CallID             string `json:"call_id"`
	}
	if err := json.Unmarshal(u.Item, &item); err != nil {
		return err
	}
	if kind == "output_item.added" {
		if u.OutputIndex != len(f.items) {
			return fmt.Errorf("it is not the next item")
		}
		f.items = append(f.items, nil)
		f.open[key] = ""
		f.say("+%s%s", item.Type, strings.TrimRight(":"+item.Name+":"+item.CallID, ":"))
		return nil
	}
	if _, ok := f.open[key]; !ok {
		return fmt.Errorf("it has not begun")
	}
	delete(f.open, key)
	f.items[u.OutputIndex] = u.Item
	f.say("-%s", strings.TrimPrefix(item.Status, "completed"))
	return nil
}

func (f *followed) response(kind string, raw json.RawMessage) error {
	var r struct {
		Status            string
		Output            []json.RawMessage
		Usage             json.RawMessage
		IncompleteDetails struct{ Reason string } `json:"incomplete_details"`
	}
	if err := json.Unmarshal(raw, &r); err != nil {
		return err
	}
	if f.events <= 2 {
		if r.Status != "in_progress" || len(r.Output) > 0 || string(r.Usage) != "null" {
			return fmt.Errorf("it says too much")
		}
		return nil
	}
	f.ended, f.output = true, r.Output
	f.say("%s", strings.TrimRight(kind+":"+r.IncompleteDetails.Reason, ":"))
	if r.Status != kind {
		return fmt.Errorf("the status is %s", r.Status)
	}
	return nil
}

var (
	responsesIDs  = regexp.MustCompile(`"((?:resp|msg|rs|fc|ctc)_)[A-Za-z0-9]{24}"`)
	responsesTime = regexp.MustCompile(`"created_at":\d+`)
)

// anonymous is an answer with its IDs and its time the same in each.
func anonymous(text []byte) string {
	text = responsesIDs.ReplaceAll(text, []byte(`"$1"`))
	return string(responsesTime.ReplaceAll(text, []byte(`"created_at":1`)))
}
