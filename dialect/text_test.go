package dialect

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

// texts are strings that are hard to write or to read, as JSON.
var texts = []string{
	`""`, `"a"`, `"\n\t\r\b\f\"\\\/"`, `"caf\u00e9 ☕"`, `"\ud83d\ude00"`, `"\ud83d"`, `"\ud83dx"`, `"\ud83d\u0041"`, `"\ude00\ud83d"`,
	`"\ud83d\ud83d\ude00"`, `"<b>&amp;</b>"`, "\"\u2028\u2029\"", `"\u0000\u001f\u007f"`, "\"\x7f\"", `"  "`, `" \n\u0020"`, `" \u0041"`,
}

func TestTextsAreReadAndWrittenLikeEncodingJSON(t *testing.T) {
	t.Parallel()
	for _, text := range texts {
		checkText(t, []byte(text))
	}
	for _, s := range []string{"\xff", "a\xe2\x80", "\xed\xa0\x80", "é\xc3"} {
		want, _ := json.Marshal(s)
		if got := appendJSON(nil, s); !bytes.Equal(got, want) {
			t.Errorf("%q is written %s, want %s", s, got, want)
		}
	}
	for _, none := range []string{``, `"`, `1`, `null`, `{}`} {
		if got := unquoted([]byte(none)); got != nil {
			t.Errorf("%s says %q", none, got)
		}
	}
}

func checkText(t *testing.T, text []byte) {
	t.Helper()
	var want string
	if json.Unmarshal(text, &want) != nil || !utf8.Valid(text) || text[0] != '"' {
		return
	}
	if got := string(unquoted(text)); got != want {
		t.Errorf("%s says %q, want %q", text, got, want)
	}
	written, _ := json.Marshal(want)
	if got := appendJSON(nil, want); !bytes.Equal(got, written) {
		t.Errorf("%q is written %s, want %s", want, got, written)
	}
	if isBlank(text) != (strings.TrimSpace(want) == "") {
		t.Errorf("%s: blank is %t", text, isBlank(text))
	}
}

func FuzzText(f *testing.F) {
	for _, text := range texts {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if text = bytes.TrimSpace(text); len(text) > 0 {
			checkText(t, text)
		}
	})
}
