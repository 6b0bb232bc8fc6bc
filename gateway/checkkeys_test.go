package gateway

import (
	"slices"
	"testing"

	"github.com/runestone-gateway/runestone/dialect"
	"github.com/runestone-gateway/runestone/keys"
)

func TestKeysKnowTheRoutesThatThereAre(t *testing.T) {
	t.Parallel()
	want := []string{string(Jobs)}
	for _, api := range []dialect.API{
		dialect.Chat, dialect.Completions, dialect.Embeddings, dialect.Responses, dialect.Messages, dialect.CountTokens, dialect.Other,
	} {
		want = append(want, string(api))
	}
	if got := slices.Sorted(slices.Values(keys.Routes)); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
		t.Errorf("got %q, want %q", got, want)
	}
}
