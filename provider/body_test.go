package provider

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/iotest"
)

func edit(start, end int, text string) Edit {
	return Edit{Span: Span{Start: start, End: end}, New: text}
}

func TestSpliceAppliesItsEdits(t *testing.T) {
	t.Parallel()
	const text = "0123456789"
	for name, test := range map[string]struct {
		text  string
		edits []Edit
		want  string
	}{
		"no edits":               {text, nil, "0123456789"},
		"an empty body":          {"", nil, ""},
		"into an empty body":     {"", []Edit{edit(0, 0, "new")}, "new"},
		"a replacement":          {text, []Edit{edit(2, 4, "ab")}, "01ab456789"},
		"a longer one":           {text, []Edit{edit(2, 4, "abcdef")}, "01abcdef456789"},
		"a removal":              {text, []Edit{edit(2, 4, "")}, "01456789"},
		"an insertion":           {text, []Edit{edit(4, 4, "ab")}, "0123ab456789"},
		"one at the beginning":   {text, []Edit{edit(0, 0, "ab")}, "ab0123456789"},
		"one at the end":         {text, []Edit{edit(10, 10, "ab")}, "0123456789ab"},
		"all replaced":           {text, []Edit{edit(0, 10, "ab")}, "ab"},
		"all removed":            {text, []Edit{edit(0, 10, "")}, ""},
		"an insertion of naught": {text, []Edit{{}}, "0123456789"},
		"two":                    {text, []Edit{edit(1, 3, "ab"), edit(7, 8, "")}, "0ab345689"},
		"two that touch":         {text, []Edit{edit(1, 3, "ab"), edit(3, 3, "cd")}, "0abcd3456789"},
		"two in one place":       {text, []Edit{edit(3, 3, "ab"), edit(3, 3, "cd")}, "012abcd3456789"},
		"four":                   {text, []Edit{edit(0, 0, "ab"), edit(1, 2, ""), edit(5, 6, "cd"), edit(9, 10, "ef")}, "ab0234cd678ef"},
		"two at the ends":        {text, []Edit{edit(0, 1, "ab"), edit(9, 10, "cd")}, "ab12345678cd"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body := NewBody([]byte(test.text), nil)
			defer body.Release()
			s := body.Splice(test.edits...)
			defer s.Close()
			if got := string(bytes.Join(s.Buffers(), nil)); got != test.want || s.Len() != int64(len(test.want)) {
				t.Errorf("buffers hold %q of %d bytes, want %q", got, s.Len(), test.want)
			}
			if err := iotest.TestReader(s, []byte(test.want)); err != nil {
				t.Error(err)
			}
			if string(body.Bytes()) != test.text {
				t.Errorf("the body became %q", body.Bytes())
			}
		})
	}
}

// Whatever the edits and however it is read, it is what replacing by hand makes of it.
func TestSpliceReadsTheSameInPieces(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		text := make([]byte, random.IntN(40))
		for i := range text {
			text[i] = byte('a' + random.IntN(26))
		}
		at := []int{random.IntN(len(text) + 1), random.IntN(len(text) + 1), random.IntN(len(text) + 1), random.IntN(len(text) + 1)}
		slices.Sort(at)
		edits := []Edit{edit(at[0], at[1], "12345"[:random.IntN(6)]), edit(at[2], at[3], "67890"[:random.IntN(6)])}[:random.IntN(3)]
		want := slices.Clone(text)
		for _, e := range slices.Backward(edits) {
			want = slices.Concat(want[:e.Start], []byte(e.New), want[e.End:])
		}
		body := NewBody(text, nil)
		s := body.Splice(edits...)
		if joined := bytes.Join(s.Buffers(), nil); !bytes.Equal(joined, want) {
			t.Fatalf("%q with %v: buffers hold %q, want %q", text, edits, joined, want)
		}
		var got []byte
		for {
			if left := s.Len(); left != int64(len(want)-len(got)) {
				t.Fatalf("%q with %v: %d bytes left after %d of %d", text, edits, left, len(got), len(want))
			}
			piece := make([]byte, 1+random.IntN(9))
			n, err := s.Read(piece)
			got = append(got, piece[:n]...)
			if err == io.EOF && n == 0 {
				break
			}
			if err != nil || n == 0 {
				t.Fatalf("%q with %v: read %d bytes and %v", text, edits, n, err)
			}
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("%q with %v: got %q, want %q", text, edits, got, want)
		}
	}
}

// What is written with one system call must not have been gathered first.
func TestSpliceCopiesNothing(t *testing.T) {
	t.Parallel()
	text := []byte("0123456789")
	s := NewBody(text, nil).Splice(edit(3, 5, "ab"))
	defer s.Close()
	parts := s.Buffers()
	if len(parts) != 3 || &parts[0][0] != &text[0] || &parts[2][0] != &text[5] {
		t.Errorf("the buffers are not slices of the body: %q", parts)
	}
}

func TestSpliceOnceClosed(t *testing.T) {
	t.Parallel()
	body := NewBody([]byte("0123456789"), nil)
	s := body.Splice()
	if n, err := s.Read(make([]byte, 4)); n != 4 || err != nil {
		t.Fatalf("read %d bytes and %v", n, err)
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if n, err := s.Read(make([]byte, 4)); n != 0 || !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("read %d bytes and %v", n, err)
	}
	if s.Len() != 0 || len(s.Buffers()) != 0 {
		t.Errorf("%d bytes are left in %d buffers", s.Len(), len(s.Buffers()))
	}
}

func TestBodyIsFreedOnceAfterItsLastHolder(t *testing.T) {
	t.Parallel()
	text := []byte("0123456789")
	freed := 0
	body := NewBody(text, func(b []byte) {
		freed++
		if &b[0] != &text[0] || len(b) != len(text) {
			t.Errorf("another slice was freed: %q", b)
		}
	})
	first, second := body.Splice(), body.Splice(edit(0, 1, "a"))
	for name, release := range map[string]func(){
		"a splice":  func() { _ = first.Close() },
		"the owner": body.Release,
	} {
		if release(); freed != 0 {
			t.Fatalf("%s let go and the body was freed under another", name)
		}
	}
	_ = first.Close() // a second time counts for nothing
	if freed != 0 {
		t.Fatal("a splice that was closed twice let go twice")
	}
	if got, err := io.ReadAll(second); err != nil || string(got) != "a123456789" {
		t.Errorf("the last holder reads %q and %v", got, err)
	}
	if freed != 0 {
		t.Error("reading to the end let go")
	}
	_ = second.Close()
	_ = second.Close()
	if freed != 1 {
		t.Errorf("freed %d times", freed)
	}
}

// net/http may close a body while it still reads it. The bytes are somebody
// else's by then: the race detector would see them read after they were freed.
func TestSpliceMayBeClosedWhileItIsRead(t *testing.T) {
	t.Parallel()
	want := bytes.Repeat([]byte("x"), 4<<10)
	for range 200 {
		body := NewBody(slices.Clone(want), func(b []byte) { clear(b) })
		s := body.Splice(edit(100, 200, "yyy"))
		var group sync.WaitGroup
		start := make(chan struct{})
		for range 2 {
			group.Go(func() {
				<-start
				piece := make([]byte, 64)
				for {
					n, err := s.Read(piece)
					if bytes.IndexByte(piece[:n], 0) >= 0 {
						t.Error("read what had been freed")
					}
					if err != nil {
						return
					}
				}
			})
			group.Go(func() {
				<-start
				_ = s.Close()
			})
		}
		group.Go(func() {
			<-start
			body.Release()
		})
		close(start)
		group.Wait()
	}
}

func TestManySplicesOfOneBody(t *testing.T) {
	t.Parallel()
	freed := make(chan struct{}, 2)
	body := NewBody([]byte("0123456789"), func(b []byte) { clear(b); freed <- struct{}{} })
	var group sync.WaitGroup
	for range 50 {
		s := body.Splice(edit(2, 4, "ab"))
		group.Go(func() {
			defer s.Close()
			if got, err := io.ReadAll(s); err != nil || string(got) != "01ab456789" {
				t.Errorf("got %q and %v", got, err)
			}
		})
	}
	body.Release()
	group.Wait()
	if len(freed) != 1 {
		t.Errorf("freed %d times", len(freed))
	}
}
