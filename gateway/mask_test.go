package gateway

import (
	"errors"
	"io"
	"testing"

	"github.com/runestone-gateway/runestone/dialect"
)

func TestMask(t *testing.T) {
	t.Parallel()
	const secret = "sk-secret-1"
	for name, test := range map[string]struct{ secret, text, want string }{
		"once":                 {secret, `{"message":"sk-secret-1 is wrong"}`, `{"message":"*********** is wrong"}`},
		"twice, side by side":  {secret, "sk-secret-1sk-secret-1", "**********************"},
		"a part of it":         {secret, "sk-secret-", "sk-secret-"},
		"none":                 {"", "text", "text"},
		"one as short as text": {"message", `{"message":"x"}`, `{"message":"x"}`},
	} {
		text := []byte(test.text)
		c := &call{secret: test.secret}
		if c.mask(text); string(text) != test.want {
			t.Errorf("%s: got %s, want %s", name, text, test.want)
		}
		told := &dialect.Error{Status: 400, Code: "c", Message: test.text}
		err := c.reported(told)
		if got, ok := errors.AsType[*dialect.Error](err); !ok || got.Message != test.want {
			t.Errorf("%s: the client is told %v, want %s", name, got, test.want)
		}
		if want := `the provider reported an error (status 400, type "", code "c")`; err.Error() != want {
			t.Errorf("%s: the log has %v, want %s", name, err, want)
		}
	}
	if err := new(call).reported(io.ErrUnexpectedEOF); err != io.ErrUnexpectedEOF {
		t.Errorf("another error became %v", err)
	}
}
