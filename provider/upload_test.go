package provider

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
)

func TestNewUploadIsTheHeadAndThenTheRest(t *testing.T) {
	t.Parallel()
	const head, rest = "--b\r\nname=model\r\n\r\nsmart\r\n--b", "\r\nfile\r\n--b--"
	span := Span{Start: strings.Index(head, "smart"), End: strings.Index(head, "smart") + len("smart")}
	for name, test := range map[string]struct {
		head   string // "" for none
		span   Span
		length int64
		target string
		want   string
		wants  int64 // the length
	}{
		"no head":                    {"", Span{}, int64(len(rest)), "gpt-4o", rest, int64(len(rest))},
		"no head, length unknown":    {"", Span{}, -1, "gpt-4o", rest, -1},
		"another name":               {head, span, int64(len(rest)), "gpt-4o", strings.Replace(head, "smart", "gpt-4o", 1) + rest, int64(len(head+rest)) + 1},
		"a shorter name":             {head, span, int64(len(rest)), "o3", strings.Replace(head, "smart", "o3", 1) + rest, int64(len(head+rest)) - 3},
		"a name, length unknown":     {head, span, -1, "gpt-4o", strings.Replace(head, "smart", "gpt-4o", 1) + rest, -1},
		"the client's name":          {head, span, int64(len(rest)), "", head + rest, int64(len(head + rest))},
		"no name in the head":        {head, Span{}, int64(len(rest)), "gpt-4o", head + rest, int64(len(head + rest))},
		"an empty name gets a value": {head, Span{Start: span.Start, End: span.Start}, int64(len(rest)), "my-", strings.Replace(head, "smart", "my-smart", 1) + rest, int64(len(head+rest)) + 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// Readers tell their end with the last bytes, after them, and in little pieces.
			for kind, wrap := range map[string]func(io.Reader) io.Reader{
				"plain":         func(r io.Reader) io.Reader { return r },
				"end with data": iotest.DataErrReader,
				"byte by byte":  iotest.OneByteReader,
				"half":          iotest.HalfReader,
			} {
				r := &Request{ModelSpan: test.span, Upload: wrap(strings.NewReader(rest)), UploadLength: test.length}
				if test.head != "" {
					r.Body = NewBody([]byte(test.head), nil)
				}
				body, length := NewUpload(r, Target{Model: test.target})
				if length != test.wants {
					t.Errorf("%s: length %d, want %d", kind, length, test.wants)
				}
				got, err := io.ReadAll(iotest.OneByteReader(body))
				if err != nil || string(got) != test.want {
					t.Errorf("%s: got %q and %v, want %q", kind, got, err, test.want)
				}
				if n, err := body.Read(make([]byte, 1)); n != 0 || err != io.EOF {
					t.Errorf("%s: after the end, read %d bytes and %v", kind, n, err)
				}
				_ = body.Close()
			}
		})
	}
}

func TestNewUploadWhoseHeadIsAll(t *testing.T) {
	t.Parallel()
	body, length := NewUpload(&Request{Body: NewBody([]byte("all"), nil), Upload: strings.NewReader("")}, Target{})
	got, err := io.ReadAll(body)
	if err != nil || string(got) != "all" || length != 3 {
		t.Errorf("got %q of %d bytes and %v", got, length, err)
	}
}

func TestNewUploadPassesOnWhyTheClientBrokeOff(t *testing.T) {
	t.Parallel()
	broken := errors.New("the client left")
	body, _ := NewUpload(&Request{
		Body:   NewBody([]byte("head,"), nil),
		Upload: io.MultiReader(strings.NewReader("and half"), iotest.ErrReader(broken)), UploadLength: 100,
	}, Target{})
	got, err := io.ReadAll(body)
	if string(got) != "head,and half" || !errors.Is(err, broken) {
		t.Errorf("got %q and %v", got, err)
	}
}

// client is the body of a client's request.
type client struct {
	io.Reader
	closed bool
}

func (c *client) Close() error { c.closed = true; return nil }

func TestClosingAnUploadLetsGoOfTheHeadOnly(t *testing.T) {
	t.Parallel()
	freed := 0
	from := &client{Reader: strings.NewReader("rest")}
	r := &Request{Body: NewBody([]byte("head"), func([]byte) { freed++ }), Upload: from, UploadLength: 4}
	body, _ := NewUpload(r, Target{})
	r.Body.Release()
	if freed != 0 {
		t.Fatal("the upload does not hold its head")
	}
	for range 2 {
		if err := body.Close(); err != nil {
			t.Error(err)
		}
	}
	if freed != 1 || from.closed {
		t.Errorf("freed %d times, client's body closed: %t", freed, from.closed)
	}
	bare, _ := NewUpload(&Request{Upload: from, UploadLength: 4}, Target{})
	if err := bare.Close(); err != nil || from.closed {
		t.Errorf("closing one without a head: %v, client's body closed: %t", err, from.closed)
	}
}

// Once closed, an upload neither skips what it has not sent of its head nor
// takes more of the client's body.
func TestAnUploadOnceClosedIsNotRead(t *testing.T) {
	t.Parallel()
	rest := strings.NewReader("rest")
	body, _ := NewUpload(&Request{Body: NewBody([]byte("head"), nil), Upload: rest, UploadLength: 4}, Target{})
	_ = body.Close()
	if n, err := body.Read(make([]byte, 8)); n != 0 || err == nil || rest.Len() != 4 {
		t.Errorf("read %d bytes and %v; %d of 4 bytes left", n, err, rest.Len())
	}
}

func TestAnUploadMayBeClosedWhileItIsRead(t *testing.T) {
	t.Parallel()
	head := bytes.Repeat([]byte("x"), 4<<10)
	for range 200 {
		held := NewBody(slices.Clone(head), func(b []byte) { clear(b) })
		body, _ := NewUpload(&Request{Body: held, Upload: strings.NewReader("rest"), UploadLength: 4}, Target{})
		held.Release()
		var group sync.WaitGroup
		group.Go(func() {
			piece := make([]byte, 64)
			for {
				n, err := body.Read(piece)
				if bytes.IndexByte(piece[:n], 0) >= 0 {
					t.Error("read what had been freed")
				}
				if err != nil {
					return
				}
			}
		})
		group.Go(func() { _ = body.Close() })
		group.Wait()
	}
}
