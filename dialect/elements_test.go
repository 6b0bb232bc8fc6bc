package dialect

import (
	"errors"
	"slices"
	"testing"
)

func TestElementsVisitsEachElementInOrder(t *testing.T) {
	t.Parallel()
	for data, want := range map[string][]string{
		`[]`:                         nil,
		" [\n]":                      nil,
		`[1]`:                        {`1`},
		`[ 1 , "a\"]", [2,[3]],{} ]`: {`1`, `"a\"]"`, `[2,[3]]`, `{}`},
	} {
		var got []string
		err := Elements([]byte(data), func(value Span) bool {
			got = append(got, data[value.Start:value.End])
			return true
		})
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %q and %v, want %q", data, got, err, want)
		}
	}
}

func TestElementsRefusesWhatIsNoArray(t *testing.T) {
	t.Parallel()
	for _, data := range []string{``, `{}`, `"a"`, `[`, `[1`, `[1,`, `[1 2]`, `[,]`, `[tru]`} {
		_, broken := errors.AsType[*SyntaxError](Elements([]byte(data), func(Span) bool { return true }))
		if !broken {
			t.Errorf("%s is taken for an array", data)
		}
	}
}

func TestElementsEndsWhenItIsToldTo(t *testing.T) {
	t.Parallel()
	n := 0
	err := Elements([]byte(`[1,2,`), func(Span) bool {
		n++
		return n < 2
	})
	if n != 2 || err != nil {
		t.Errorf("got %d elements and %v", n, err)
	}
}
