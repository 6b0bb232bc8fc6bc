package overflow

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"testing"
)

func FuzzDecodeRequest(f *testing.F) {
	r := &StoredRequest{
		Method: "POST", Path: "/v1/chat/completions", Query: "a=b", Header: http.Header{"Accept": {"*/*"}},
		Model: "m", Stream: true, Callback: "https://hooks.example/", Body: []byte(`{"model":"m"}`),
	}
	f.Add(r.encode())
	f.Add(new(StoredRequest).encode())
	f.Add([]byte{0, 0, 0, 2, '{', '}'})
	f.Add([]byte{0, 0, 0, 4, 'n', 'u', 'l', 'l', 1})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, '{', '}'})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeRequest(b)
		if err != nil {
			if err != errBadRequest || r != nil {
				t.Errorf("got %+v and %v", r, err)
			}
			return
		}
		if !bytes.HasSuffix(b, r.Body) {
			t.Error("the body is not what was there")
		}
		again, err := decodeRequest(r.encode())
		if err != nil || !bytes.Equal(again.Body, r.Body) {
			t.Fatalf("read again: %+v, %v", again, err)
		}
		again.Body, r.Body = nil, nil
		if len(r.Header) == 0 { // omitempty
			again.Header, r.Header = nil, nil
		}
		if !reflect.DeepEqual(again, r) {
			t.Errorf("read again it is %+v, not %+v", again, r)
		}
	})
}

// Whatever comes from a queue, what is opened was sealed with that secret and for that purpose, or plain.
func FuzzOpenSealed(f *testing.F) {
	s := testSealer(f, newSecret, oldSecret)
	f.Add(s.seal([]byte("a prompt"), "job_1 payload"), "job_1 payload")
	f.Add(s.seal([]byte("a prompt"), "job_1 payload"), "job_2 payload")
	f.Add(testSealer(f, oldSecret).seal(nil, "x"), "x")
	f.Add((*sealer)(nil).seal([]byte("plain"), "x"), "x")
	f.Add([]byte{}, "")
	f.Add(bytes.Repeat([]byte{1}, 60), "")
	f.Fuzz(func(t *testing.T, sealed []byte, context string) {
		for _, opener := range []*sealer{s, nil} {
			plain, err := opener.open(sealed, context)
			switch {
			case err == nil && len(sealed) > 0 && sealed[0] == sealPlain:
				if !bytes.Equal(plain, sealed[1:]) {
					t.Error("what is plain is read otherwise")
				}
			case err == nil:
				again, err := s.open(s.seal(plain, context), context)
				if err != nil || !bytes.Equal(again, plain) || len(plain) != len(sealed)-sealOverhead {
					t.Errorf("it opens to %q", plain)
				}
			case plain != nil || !errors.Is(err, errNoKey) && !errors.Is(err, errSealBroken):
				t.Errorf("got %q and %v", plain, err)
			}
		}
	})
}

// What a run reads of a callback's job is as much from outside.
func FuzzOpenWebhook(f *testing.F) {
	w, _ := json.Marshal(webhook{ID: "evt_1", URL: "https://hooks.example/", Body: []byte(`{}`)})
	f.Add(append([]byte{sealPlain}, w...))
	f.Add([]byte{sealPlain, '[', ']'})
	f.Add([]byte{sealPlain})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, payload []byte) {
		r := &run{setup: new(Setup), job: &Job{ID: "job_1", Kind: Callback, Payload: payload}}
		w, err := r.openWebhook()
		if (err == nil) != (w != nil) {
			t.Errorf("got %+v and %v", w, err)
		}
		if err != nil && err != errBadRequest && err != errSealBroken && err != errNoKey {
			t.Errorf("the error may quote the content: %v", err)
		}
	})
}
