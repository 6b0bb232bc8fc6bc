package mock

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

const directivePrefix = "mock:"

// directives changes the behaviour of one call, by the name after the prefix.
var directives = map[string]func(b *behaviour, value string) error{
	"status": func(b *behaviour, s string) (err error) {
		if s == "200" {
			b.status = http.StatusOK
			return nil
		}
		b.status, err = parseInt(s, minStatus, maxStatus)
		return err
	},
	"retry_after": func(b *behaviour, s string) (err error) {
		b.retryAfter, err = parseInt(s, 1, maxRetryAfter)
		return err
	},
	"latency": func(b *behaviour, s string) (err error) {
		b.latency, err = parseLatency(s)
		return err
	},
	"words": func(b *behaviour, s string) (err error) {
		b.words, err = parseInt(s, 1, maxWords)
		return err
	},
	"rate": func(b *behaviour, s string) (err error) {
		b.rate, err = parseRate(s)
		return err
	},
	"truncate": func(b *behaviour, s string) (err error) {
		b.breakAfter, err = parseInt(s, -1, maxWords)
		return err
	},
	"error_first": func(b *behaviour, s string) error {
		if s != "" {
			return fmt.Errorf("%q is too much; it takes no value", s)
		}
		b.errorFirst = true
		return nil
	},
}

// obey applies the directives in text, in order. A misspelt one is refused, for
// it would otherwise leave a test that tests nothing.
func (b *behaviour) obey(text string) error {
	if !strings.Contains(text, directivePrefix) {
		return nil
	}
	for word := range strings.FieldsSeq(text) {
		name, value, ok := cutDirective(word)
		if !ok {
			continue
		}
		apply, known := directives[name]
		if !known {
			return refuse("", "Unknown directive 'mock:%s'; use one of %s.",
				name, strings.Join(slices.Sorted(maps.Keys(directives)), ", "))
		}
		if err := apply(b, value); err != nil {
			return refuse("", "Directive 'mock:%s': %v.", name, err)
		}
	}
	return nil
}

// cutDirective splits a word of the form mock:name=value, which may stand in
// quotes or before a comma or a full stop. Anything else that starts with mock:,
// such as mock::new() in a program, is plain text.
func cutDirective(word string) (name, value string, ok bool) {
	rest, ok := strings.CutPrefix(strings.Trim(word, "\"'`()[]{}<>.,;:!?"), directivePrefix)
	if !ok {
		return "", "", false
	}
	name, value, _ = strings.Cut(rest, "=")
	return name, value, name != "" && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_") == ""
}
