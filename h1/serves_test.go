package h1_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/runestone-gateway/runestone/h1"
)

func TestServes(t *testing.T) {
	t.Parallel()
	for target, want := range map[string]bool{"http://a": true, "https://a": false} {
		if req, _ := request(t, t.Context(), "POST", target); h1.Serves(req) != want {
			t.Errorf("%s: got %v", target, !want)
		}
	}
	upload, _ := http.NewRequest("POST", "http://a", strings.NewReader("x"))
	if h1.Serves(upload) {
		t.Error("it would take an upload")
	}
	large, _ := request(t, t.Context(), "POST", "http://a")
	large.ContentLength = 256<<10 + 1
	if h1.Serves(large) {
		t.Error("it would take a large body")
	}
}
