package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/runestone-gateway/runestone/dialect"
)

// shortSecret is up to what length in bytes a provider's key is not looked for: in shorter ones, as those of test servers,
// ordinary words could be found.
const shortSecret = 7

// mask overwrites the provider's key in an error of the provider's: some repeat what they refuse. The length stays.
func (c *call) mask(text []byte) {
	if len(c.secret) <= shortSecret {
		return
	}
	for {
		i := bytes.Index(text, []byte(c.secret))
		if i < 0 {
			return
		}
		text = text[i:]
		for j := range len(c.secret) {
			text[j] = '*'
		}
	}
}

// reported returns the error that a provider has reported in an answer of status 200, as it may be told and logged. Any other
// error stays what it is.
func (c *call) reported(err error) error {
	told, ok := errors.AsType[*dialect.Error](err)
	if !ok {
		return err
	}
	if len(c.secret) > shortSecret {
		told.Message = strings.ReplaceAll(told.Message, c.secret, strings.Repeat("*", len(c.secret)))
	}
	return &errReported{told}
}

// errReported is an error in the words of a provider, which may repeat what it was asked: they are for the client and for no log.
type errReported struct{ told *dialect.Error }

func (e *errReported) Error() string {
	return fmt.Sprintf("the provider reported an error (status %d, type %q, code %q)", e.told.Status, e.told.Type, e.told.Code)
}

// Unwrap returns what the client is told.
func (e *errReported) Unwrap() error { return e.told }
