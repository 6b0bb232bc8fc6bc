package handler

import (
	"strings"
	"testing"

	"github.com/runestone-gateway/runestone/sse"
)

func TestEventIDs(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]eventID{
		"1.0.1":                          {run: 1, event: 1},
		"12.345.6789":                    {run: 12, chunk: 345, event: 6789},
		"3.end":                          {run: 3, end: true},
		"0.0.0":                          {},
		"0.end":                          {end: true},
		"2147483647.2147483647.1":        {run: 1<<31 - 1, chunk: 1<<31 - 1, event: 1},
		"":                               {},
		"1":                              {},
		"1.2":                            {},
		"1.2.3.4":                        {},
		"1.2.end":                        {},
		"1.end.2":                        {},
		"1.end.":                         {},
		"end":                            {},
		".end":                           {},
		"end.end":                        {},
		"-1.0.0":                         {},
		"+1.0.0":                         {},
		"1. 2.3":                         {},
		"1..3":                           {},
		"0x1.2.3":                        {},
		"1_0.2.3":                        {},
		"2147483648.0.0":                 {},
		"1.99999999999999999999.0":       {},
		"\u0661.0.0":                     {},
		strings.Repeat("1.", 1000) + "1": {},
	} {
		if got := parseEventID(text); got != want {
			t.Errorf("%.40q: %+v, want %+v", text, got, want)
		}
	}
}

func FuzzEventID(f *testing.F) {
	for _, text := range []string{"1.2.3", "7.end", "", "..", "1.2.3.4", "007.1.2"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		id := parseEventID(text)
		if id.run < 0 || id.chunk < 0 || id.event < 0 || id.end && (id.chunk != 0 || id.event != 0) {
			t.Errorf("%q: %+v", text, id)
		}
		if again := parseEventID(id.String()); again != id {
			t.Errorf("%+v is written %q and read %+v", id, id, again)
		}
	})
}

func TestAppendEvent(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ data, id, want string }{
		"one line":                    {`{"a":1}`, "", "event: e\ndata: {\"a\":1}\n\n"},
		"with an ID":                  {`{}`, "1.end", "event: e\ndata: {}\nid: 1.end\n\n"},
		"nothing":                     {"", "", "event: e\ndata: \n\n"},
		"a line end alone":            {"\n", "", "event: e\ndata: \n\n"},
		"the last line end goes":      {"{}\n", "", "event: e\ndata: {}\n\n"},
		"but not those before":        {"{}\n\n", "", "event: e\ndata: {}\ndata: \n\n"},
		"several lines":               {"{\n \"a\": 1\n}", "", "event: e\ndata: {\ndata:  \"a\": 1\ndata: }\n\n"},
		"lines that end as they like": {"a\r\nb\rc\nd\r", "", "event: e\ndata: a\ndata: b\ndata: c\ndata: d\n\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := string(appendEvent([]byte("x"), "e", []byte(test.data), test.id)); got != "x"+test.want {
				t.Errorf("got %q, want %q", got, "x"+test.want)
			}
		})
	}
}

func FuzzAppendEvent(f *testing.F) {
	f.Add("{\n\"a\":1}\r\n", "1.2.3")
	f.Add("\r\r\n\n data: x", "")
	f.Fuzz(func(t *testing.T, data, id string) {
		if strings.ContainsAny(id, "\r\n") {
			t.Skip()
		}
		block := appendEvent(nil, "e", []byte(data), id)
		if sse.End(block) != len(block) {
			t.Fatalf("not one block: %q", block)
		}
		want := strings.TrimSuffix(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(data), "\n")
		if e := sse.Parse(block); string(e.Name) != "e" || !e.HasData || string(e.Data) != want {
			t.Errorf("%q is read as %q: %q", block, e.Name, e.Data)
		}
	})
}
