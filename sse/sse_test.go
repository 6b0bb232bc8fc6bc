package sse_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/runestone-gateway/runestone/sse"
)

func TestEnd(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		in   string
		want int
	}{
		"nothing":                               {"", 0},
		"an unfinished line":                    {"data: x", 0},
		"a line without its blank line":         {"data: x\n", 0},
		"LF":                                    {"data: x\n\ndata", 9},
		"CRLF":                                  {"data: x\r\n\r\ndata", 11},
		"CR":                                    {"data: x\r\rdata", 9},
		"LF then CRLF":                          {"data: x\n\r\ndata", 10},
		"CRLF then LF":                          {"data: x\r\n\ndata", 10},
		"a CR that ends the buffer ends a line": {"data: x\r\n\r", 10},
		"a CRLF alone does not end a block":     {"data: x\r\n", 0},
		"several lines":                         {"event: a\ndata: x\ndata: y\n\n", 26},
		"a blank line is a block that says nothing": {"\ndata: x\n\n", 1},
		"a CR inside a line of LFs":                 {"data: x\rdata: y\n\n", 17},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := sse.End([]byte(test.in)); got != test.want {
				t.Errorf("End(%q) = %d, want %d", test.in, got, test.want)
			}
		})
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		in, event, data string
		hasData, fields bool
	}{
		"data":                             {"data: x\n\n", "", "x", true, true},
		"data without the space":           {"data:x\n\n", "", "x", true, true},
		"only one space is taken":          {"data:  x\n\n", "", " x", true, true},
		"several lines of data":            {"data: a\r\ndata: b\rdata:c\n\n", "", "a\nb\nc", true, true},
		"a name":                           {"event: ping\ndata: {}\n\n", "ping", "{}", true, true},
		"no data":                          {"event: ping\n\n", "ping", "", false, true},
		"empty data":                       {"data\n\n", "", "", true, true},
		"a comment":                        {": hello\n\n", "", "", false, false},
		"unknown fields":                   {"foo: bar\nid: 1\n\n", "", "", false, true},
		"no final blank line":              {"data: [DONE]", "", "[DONE]", true, true},
		"line separators of Unicode stay":  {"data: a\u2028b\n\n", "", "a\u2028b", true, true},
		"a blank line has neither of them": {"\n", "", "", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := sse.Parse([]byte(test.in))
			if string(e.Name) != test.event || string(e.Data) != test.data || e.HasData != test.hasData || e.Fields != test.fields {
				t.Errorf("Parse(%q) = %q %q %v %v", test.in, e.Name, e.Data, e.HasData, e.Fields)
			}
		})
	}
}

var streams = []string{
	"data: a\n\ndata: b\n\n",
	"data: a\r\n\r\nevent: x\r\ndata: b\r\ndata: c\r\n\r\n",
	"data: a\r\rdata: b\r\r",
	": comment\n\nid: 7\ndata: \u00e4\u4e16\U0001F600\n\nretry: 3\n\ndata: [DONE]",
	"data: mixed\n\r\ndata: b\r\n\ndata: c\n\r\n\n\n",
	"data: a\rdata: b\n\ndata: c\r\n\r\n",
}

// contents parses blocks and drops those that say nothing, which is what a client sees.
func contents(t *testing.T, blocks [][]byte) (out []string) {
	t.Helper()
	for _, b := range blocks {
		for len(b) > 0 {
			n := sse.End(b)
			if n == 0 {
				n = len(b)
			}
			if e := sse.Parse(b[:n]); e.HasData {
				out = append(out, string(e.Name)+"|"+string(e.Data))
			}
			b = b[n:]
		}
	}
	return out
}

func readAll(t *testing.T, src io.Reader) (blocks [][]byte) {
	t.Helper()
	r := sse.NewReader(src)
	for {
		b, err := r.Next()
		if err == io.EOF {
			return blocks
		}
		if err != nil {
			t.Fatal(err)
		}
		blocks = append(blocks, bytes.Clone(b))
	}
}

func TestReaderKeepsEveryByteAtEverySplit(t *testing.T) {
	t.Parallel()
	for _, s := range streams {
		want := contents(t, readAll(t, strings.NewReader(s)))
		for i := range len(s) + 1 {
			src := io.MultiReader(strings.NewReader(s[:i]), strings.NewReader(s[i:]))
			blocks := readAll(t, src)
			if got := string(bytes.Join(blocks, nil)); got != s {
				t.Fatalf("split at %d of %q: got %q", i, s, got)
			}
			if got := contents(t, blocks); strings.Join(got, "\x00") != strings.Join(want, "\x00") {
				t.Fatalf("split at %d of %q: events %q, want %q", i, s, got, want)
			}
		}
		if got := string(bytes.Join(readAll(t, iotest.OneByteReader(strings.NewReader(s))), nil)); got != s {
			t.Fatalf("byte by byte: got %q, want %q", got, s)
		}
	}
}

func TestReaderReturnsWholeBlocksOnly(t *testing.T) {
	t.Parallel()
	for _, s := range streams[:2] {
		for _, b := range readAll(t, iotest.OneByteReader(strings.NewReader(s))) {
			if sse.End(b) == 0 {
				t.Errorf("%q is not a whole block", b)
			}
		}
	}
}

func TestReaderDropsAByteOrderMark(t *testing.T) {
	t.Parallel()
	got := readAll(t, iotest.OneByteReader(strings.NewReader("\ufeffdata: x\n\n")))
	if len(got) != 1 || string(got[0]) != "data: x\n\n" {
		t.Errorf("got %q", got)
	}
}

func TestReaderGrowsForALongBlock(t *testing.T) {
	t.Parallel()
	long := "data: " + strings.Repeat("x", 1<<20) + "\n\n"
	got := readAll(t, strings.NewReader(long+"data: y\n\n"))
	if string(bytes.Join(got, nil)) != long+"data: y\n\n" || string(got[0][:len(long)]) != long {
		t.Error("the long block was not kept whole")
	}
}

func TestReaderRefusesAnEndlessBlock(t *testing.T) {
	t.Parallel()
	r := sse.NewReader(&repeat{bytes.Repeat([]byte("data: x"), 10_000)})
	for range 2 {
		if _, err := r.Next(); err != sse.ErrTooLong {
			t.Fatalf("got %v", err)
		}
	}
}

func TestReaderReturnsTheErrorOfItsSourceAfterWhatWasRead(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	r := sse.NewReader(io.MultiReader(strings.NewReader("data: x\n\ndata: y"), iotest.ErrReader(broken)))
	for _, want := range []string{"data: x\n\n", "data: y"} {
		if b, err := r.Next(); string(b) != want || err != nil {
			t.Fatalf("got %q %v", b, err)
		}
	}
	for range 2 {
		if _, err := r.Next(); err != broken {
			t.Fatalf("got %v", err)
		}
	}
}

func FuzzReader(f *testing.F) {
	for _, s := range streams {
		f.Add(s, uint16(3))
	}
	f.Fuzz(func(t *testing.T, s string, split uint16) {
		want := contents(t, readAll(t, strings.NewReader(s)))
		i := min(int(split), len(s))
		blocks := readAll(t, io.MultiReader(strings.NewReader(s[:i]), strings.NewReader(s[i:])))
		if got := string(bytes.Join(blocks, nil)); got != strings.TrimPrefix(s, "\ufeff") {
			t.Fatalf("got %q, want %q", got, s)
		}
		if got := contents(t, blocks); strings.Join(got, "\x00") != strings.Join(want, "\x00") {
			t.Fatalf("events %q, want %q", got, want)
		}
	})
}

func BenchmarkReader(b *testing.B) {
	chunk := []byte("data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hello\"},\"finish_reason\":null}]}\n\n")
	r := sse.NewReader(&repeat{chunk})
	b.SetBytes(int64(len(chunk)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Next(); err != nil {
			b.Fatal(err)
		}
	}
}

type repeat struct{ p []byte }

func (r *repeat) Read(p []byte) (int, error) { return copy(p, r.p), nil }

func TestAppendWithID(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ block, want string }{
		"LF":                               {"data: x\n\n", "data: x\nid: 7\n\n"},
		"CRLF":                             {"data: x\r\n\r\n", "data: x\nid: 7\n\n"},
		"CR":                               {"data: x\r\r", "data: x\nid: 7\n\n"},
		"mixed":                            {"data: x\n\r\n", "data: x\nid: 7\n\n"},
		"several lines":                    {"event: a\r\ndata: x\rdata: y\n\n", "event: a\r\ndata: x\rdata: y\nid: 7\n\n"},
		"one that has an ID":               {"id: 3\ndata: x\n\n", "id: 3\ndata: x\nid: 7\n\n"},
		"without its blank line":           {"data: x\n", "data: x\nid: 7\n\n"},
		"without the end of its line":      {"data: [DONE]", "data: [DONE]\nid: 7\n\n"},
		"a comment":                        {": hello\n\n", ": hello\nid: 7\n\n"},
		"a blank line alone":               {"\n", "id: 7\n\n"},
		"nothing":                          {"", "id: 7\n\n"},
		"an LF that a CR left to the next": {"\n\n", "id: 7\n\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := string(sse.AppendWithID([]byte("before "), []byte(test.block), "7")); got != "before "+test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// FuzzAppendWithID: every event of a stream says what it said, and has its ID.
func FuzzAppendWithID(f *testing.F) {
	for _, s := range streams {
		f.Add([]byte(s))
	}
	f.Add([]byte("id: 9\rdata: x\n\r\nevent\rdata\r\r\n"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		for rest := stream; len(rest) > 0; {
			n := sse.End(rest)
			if n == 0 {
				n = len(rest)
			}
			before := bytes.Clone(rest[:n])
			block := sse.AppendWithID(nil, rest[:n], "1.2.3")
			if !bytes.Equal(before, rest[:n]) {
				t.Fatal("the block was changed")
			}
			rest = rest[n:]
			if sse.End(block) != len(block) {
				t.Fatalf("%q became %q, which is not one block", before, block)
			}
			was, is := sse.Parse(before), sse.Parse(block)
			if !bytes.Equal(was.Name, is.Name) || !bytes.Equal(was.Data, is.Data) || was.HasData != is.HasData {
				t.Errorf("%q became %q", before, block)
			}
			if i := bytes.LastIndex(block, []byte("id: ")); string(block[i:]) != "id: 1.2.3\n\n" || i > 0 && block[i-1] != '\n' {
				t.Errorf("the last ID of %q is another", block)
			}
		}
	})
}
