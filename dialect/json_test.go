package dialect

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

// member is a key, quotes included, and the text of its value.
type member struct{ key, value string }

// membersOf returns what Members visits.
func membersOf(data []byte) (all []member, err error) {
	err = Members(data, func(key []byte, v Span) bool {
		all = append(all, member{string(key), string(data[v.Start:v.End])})
		return true
	})
	return all, err
}

func TestMembersVisitsEachMemberInOrder(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		data string
		want []member
	}{
		"an empty object":       {`{}`, nil},
		"space in an object":    {" \t\r\n{ \n} \t", nil},
		"one member":            {`{"a":1}`, []member{{`"a"`, `1`}}},
		"space round all":       {" { \"a\" :\n1 ,\t\"b\" : [ 1 , 2 ] } ", []member{{`"a"`, `1`}, {`"b"`, `[ 1 , 2 ]`}}},
		"the same key twice":    {`{"a":1,"a":2}`, []member{{`"a"`, `1`}, {`"a"`, `2`}}},
		"an empty key":          {`{"":null}`, []member{{`""`, `null`}}},
		"a key in escapes":      {`{"\u0061\"":true}`, []member{{`"\u0061\""`, `true`}}},
		"only the top level":    {`{"a":{"b":{"c":1}},"d":false}`, []member{{`"a"`, `{"b":{"c":1}}`}, {`"d"`, `false`}}},
		"every kind of number":  {`{"a":-0,"b":0.5,"c":1e9,"d":-12.5E-3,"e":10E+2}`, []member{{`"a"`, `-0`}, {`"b"`, `0.5`}, {`"c"`, `1e9`}, {`"d"`, `-12.5E-3`}, {`"e"`, `10E+2`}}},
		"every escape":          {`{"a":"\"\\\/\b\f\n\r\t\u00e9\uD83D\uDE00"}`, []member{{`"a"`, `"\"\\\/\b\f\n\r\t\u00e9\uD83D\uDE00"`}}},
		"braces in a string":    {`{"a":"}]{[,:"}`, []member{{`"a"`, `"}]{[,:"`}}},
		"bytes above ASCII":     {"{\"é\":\"\u2028日本\x7f\"}", []member{{`"é"`, "\"\u2028日本\x7f\""}}},
		"empty values":          {`{"a":"","b":[],"c":{}}`, []member{{`"a"`, `""`}, {`"b"`, `[]`}, {`"c"`, `{}`}}},
		"arrays within objects": {`{"a":[{"b":[{}]},[[]]]}`, []member{{`"a"`, `[{"b":[{}]},[[]]]`}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := membersOf([]byte(test.data))
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestMembersSaysWhereABodyStopsBeingJSON(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		data   string
		offset int
		reason string // a part of it
	}{
		"nothing":                        {"", 0, "empty"},
		"only space":                     {" \n", 2, "empty"},
		"an array":                       {" []", 1, "not a JSON object"},
		"a string":                       {`"a"`, 0, "not a JSON object"},
		"a byte order mark":              {"\ufeff{}", 0, "not a JSON object"},
		"a comma at the end":             {`{"a":1,}`, 7, "a key in double quotes"},
		"a comma only":                   {`{,}`, 1, "a key in double quotes"},
		"a key in single quotes":         {`{'a':1}`, 1, "a key in double quotes"},
		"a bare key":                     {`{a:1}`, 1, "a key in double quotes"},
		"a key without a value":          {`{"a"}`, 4, "':'"},
		"two colons":                     {`{"a"::1}`, 5, "a value"},
		"no value":                       {`{"a":}`, 5, "a value"},
		"no comma":                       {`{"a":1 "b":2}`, 7, "',' or '}'"},
		"a bracket for a brace":          {`{"a":1]`, 6, "',' or '}'"},
		"a brace for a bracket":          {`{"a":[1}`, 7, "',' or ']'"},
		"a comma at an array's end":      {`{"a":[1,]}`, 8, "a value"},
		"the end in an object":           {`{"a":1`, 6, "',' or '}'"},
		"the end in an array":            {`{"a":[`, 6, "a value"},
		"the end in a string":            {`{"a":"bc`, 8, "no end"},
		"the end after a backslash":      {`{"a":"\`, 7, "unknown escape"},
		"the end in an escape":           {`{"a":"\u00`, 7, "hexadecimal"},
		"the end in a key":               {`{"a`, 3, "no end"},
		"an unknown escape":              {`{"a":"\x41"}`, 7, "unknown escape"},
		"a bad hexadecimal digit":        {`{"a":"\u00g0"}`, 7, "hexadecimal"},
		"a raw line end":                 {"{\"a\":\"b\nc\"}", 7, "control character"},
		"a raw NUL":                      {"{\"a\":\"\x00\"}", 6, "control character"},
		"a raw tab in a key":             {"{\"a\tb\":1}", 3, "control character"},
		"a form feed for space":          {"{\f}", 1, "a key"},
		"a wrong literal":                {`{"a":nul}`, 5, "a value"},
		"a literal in capitals":          {`{"a":True}`, 5, "a value"},
		"a literal that goes on":         {`{"a":truex}`, 9, "',' or '}'"},
		"a leading zero":                 {`{"a":01}`, 6, "',' or '}'"},
		"a leading plus":                 {`{"a":+1}`, 5, "a value"},
		"a lone minus":                   {`{"a":-}`, 6, "a digit"},
		"a point without digits":         {`{"a":1.}`, 7, "a digit"},
		"a point before digits":          {`{"a":.5}`, 5, "a value"},
		"an exponent without digits":     {`{"a":1e}`, 7, "a digit"},
		"a signed exponent that is none": {`{"a":1e+}`, 8, "a digit"},
		"not a number":                   {`{"a":NaN}`, 5, "a value"},
		"a comment":                      {`{"a":1/**/}`, 6, "',' or '}'"},
		"a second object":                {`{}{}`, 2, "something after"},
		"text after the object":          {`{} x`, 3, "something after"},
		"a NUL after the object":         {"{}\x00", 2, "something after"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := membersOf([]byte(test.data))
			var syntax *SyntaxError
			if !errors.As(err, &syntax) {
				t.Fatalf("got %v, want a *SyntaxError", err)
			}
			if syntax.Offset != test.offset || !strings.Contains(syntax.Reason, test.reason) {
				t.Errorf("got %q, want %q at byte %d", err, test.reason, test.offset)
			}
			if json.Valid([]byte(test.data)) && test.data[strings.IndexFunc(test.data, notSpace)] == '{' {
				t.Error("it is valid JSON after all")
			}
		})
	}
}

func notSpace(r rune) bool { return !strings.ContainsRune(" \t\r\n", r) }

func TestMembersStopsWhenToldTo(t *testing.T) {
	t.Parallel()
	calls := 0
	err := Members([]byte(`{"a":1,"b":2, this is not JSON`), func([]byte, Span) bool {
		calls++
		return calls < 2
	})
	if err != nil || calls != 2 {
		t.Errorf("got %d calls and %v, want 2 and no error", calls, err)
	}
}

func TestNestingIsBounded(t *testing.T) {
	t.Parallel()
	// The object itself is the first level.
	shapes := map[string]func(depth int) string{
		"arrays":  func(n int) string { return `{"a":` + strings.Repeat("[", n-1) + strings.Repeat("]", n-1) + `}` },
		"objects": func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) },
		"both": func(n int) string {
			return `{"a":` + strings.Repeat(`[{"b":`, (n-1)/2) + `0` + strings.Repeat(`}]`, (n-1)/2) + `}`
		},
	}
	for name, nested := range shapes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := membersOf([]byte(nested(MaxDepth))); err != nil {
				t.Errorf("at the limit: %v", err)
			}
			_, err := membersOf([]byte(nested(MaxDepth + 1)))
			if name == "both" { // of which each step is two levels
				_, err = membersOf([]byte(nested(MaxDepth + 2)))
			}
			if err == nil || !strings.Contains(err.Error(), "nests deeper than 512") {
				t.Errorf("beyond the limit: %v", err)
			}
		})
	}
	t.Run("what never closes", func(t *testing.T) {
		t.Parallel()
		for _, open := range []string{"[", `{"a":`} {
			if _, err := membersOf([]byte(`{"a":` + strings.Repeat(open, 1<<20))); err == nil {
				t.Errorf("a million of %s passed", open)
			}
		}
	})
	t.Run("what lies side by side", func(t *testing.T) {
		t.Parallel()
		flat := `{"a":[` + strings.Repeat(`[{}],`, 10*MaxDepth) + `{"b":[]}]}`
		if _, err := membersOf([]byte(flat)); err != nil {
			t.Error(err)
		}
	})
}

// Strings are read eight bytes at a time, wherever they begin: at each offset, in each
// length, every byte that could be mistaken for another stands at each place.
func TestStringsAreReadAsEncodingJSONReadsThem(t *testing.T) {
	t.Parallel()
	special := []string{
		`"`, `\`, `\"`, `\\`, `\\"`, `\n`, `\u0022`, `\u12`, "\x00", "\x01", "\x1f", "\n", "\x7f",
		"\x20", "!", "#", "[", "]", "\x80", "\x9f", "\xa0", "\xa2", "\xdc", "\xff", "\x1f\"", "\"\x1f", "\x80\"", "\x00\\",
	}
	fillers := []string{"a", "!", "#", "[", "]", " ", "\x7f", "\x80", "\xa2", "\xdc", "\xff"}
	body := make([]byte, 0, 64)
	for offset := range 8 {
		for length := range 18 {
			for place := range length + 1 {
				for i, s := range special {
					filler := fillers[(i+place+length)%len(fillers)]
					body = append(body[:0], `{"`...)
					body = append(body, "kkkkkkkk"[:offset]...)
					body = append(body, `":"`...)
					body = append(body, strings.Repeat(filler, place)...)
					body = append(body, s...)
					body = append(body, strings.Repeat(filler, length-place)...)
					body = append(body, `"}`...)
					if _, err := membersOf(body); (err == nil) != json.Valid(body) {
						t.Fatalf("%q: %v", body, err)
					}
				}
			}
		}
	}
}

// standardMembers returns what encoding/json makes of an object, and how deep it nests.
func standardMembers(t *testing.T, data []byte) (all []member, depth int) {
	t.Helper()
	level := 0
	for dec := json.NewDecoder(bytes.NewReader(data)); ; {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("encoding/json: %v", err)
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			level++
			depth = max(depth, level)
		case json.Delim('}'), json.Delim(']'):
			level--
		}
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	_, _ = dec.Token()
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			t.Fatalf("encoding/json: %v", err)
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			t.Fatalf("encoding/json: %v", err)
		}
		all = append(all, member{key.(string), string(value)})
	}
	return all, depth
}

func isObject(data []byte) bool {
	return json.Valid(data) && bytes.TrimLeft(data, " \t\r\n")[0] == '{'
}

func FuzzMembers(f *testing.F) {
	for _, s := range []string{
		``, ` `, `{}`, `[]`, `{"a":1}`, `{"a":[1,2,{"b":null}],"a":"\u0061\ud800"}`, "{\"\xff\":\"\x7f\"}",
		`{"a":-0.5e+10}`, `{"a":01}`, `{"a":"` + strings.Repeat(`é\"\\ `, 20) + `"}`, "{\"a\":\"\x1f\"}", `{"a":tru`, `{}{}`,
		`{"a":` + strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth) + `}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := membersOf(data)
		if !isObject(data) {
			var syntax *SyntaxError
			if !errors.As(err, &syntax) || syntax.Offset < 0 || syntax.Offset > len(data) {
				t.Fatalf("%q is no JSON object, and the error is %v", data, err)
			}
			return
		}
		want, depth := standardMembers(t, data)
		if depth > MaxDepth {
			if err == nil {
				t.Fatalf("%q nests %d deep and passed", data, depth)
			}
			return
		}
		if err != nil {
			t.Fatalf("%q: %v", data, err)
		}
		for i := range got {
			var key string
			if err := json.Unmarshal([]byte(got[i].key), &key); err != nil {
				t.Fatalf("key %q: %v", got[i].key, err)
			}
			got[i].key = key
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", data, got, want)
		}
	})
}
