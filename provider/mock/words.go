package mock

import (
	"strings"
	"unicode"
)

// vocabulary is what replies are made of.
var vocabulary = strings.Fields(`
	a the every some each another one this that
	quiet bright early simple patient distant steady narrow gentle open hidden
	careful ordinary silver northern warm curious even slow plain
	river stone window garden letter lantern bridge harbour meadow engine
	signal answer question traveller library morning evening winter summer
	valley island kitchen orchard market teacher builder sailor painter clock
	mountain village forest shadow thread pattern season story journey
	carries finds follows opens remembers crosses watches gathers repeats
	holds leaves meets builds turns keeps learns shows moves brings
	under over beside between beyond toward within along near after before
	and while because until then always often rarely slowly quickly again`)

// writer writes a text of so many words.
type writer struct {
	strings.Builder
	left int
}

func (w *writer) word(s string) {
	if w.left == 0 {
		return
	}
	if w.Len() > 0 {
		w.WriteByte(' ')
	}
	w.WriteString(s)
	w.left--
}

func (w *writer) words(s string) {
	for word := range strings.FieldsSeq(s) {
		w.word(word)
	}
}

// sentences fills the text up with made-up sentences.
func (w *writer) sentences(r *random) {
	for w.left > 0 {
		length := min(6+r.below(7), w.left)
		for i := range length {
			word := vocabulary[r.below(len(vocabulary))]
			if i == 0 {
				word = strings.ToUpper(word[:1]) + word[1:]
			}
			if i == length-1 {
				word += "."
			}
			w.word(word)
		}
	}
}

// quote returns the first words of s in quotation marks, without directives.
// It returns nothing when there are no other words.
func quote(s string) string {
	const most = 20
	w := writer{left: most}
	for word := range strings.FieldsSeq(s) {
		if _, _, ok := cutDirective(word); ok {
			continue
		}
		if w.left == 0 {
			return `"` + w.String() + `…"`
		}
		w.word(word)
	}
	if w.Len() == 0 {
		return ""
	}
	return `"` + w.String() + `"`
}

func countWords(s string) int {
	n := 0
	for range strings.FieldsSeq(s) {
		n++
	}
	return n
}

// cutWord splits off the first word of s, with the space before it, so that the
// words put together are s. Space at the end belongs to the last word.
func cutWord(s string) (word, rest string) {
	start := strings.IndexFunc(s, func(c rune) bool { return !unicode.IsSpace(c) })
	if start < 0 {
		return s, ""
	}
	end := strings.IndexFunc(s[start:], unicode.IsSpace)
	if end < 0 {
		return s, ""
	}
	end += start
	if strings.TrimSpace(s[end:]) == "" {
		return s, ""
	}
	return s[:end], s[end:]
}

// firstWords returns the first n words of s, and whether there were more.
func firstWords(s string, n int) (first string, more bool) {
	rest := s
	for range n {
		if rest == "" {
			return s, false
		}
		_, rest = cutWord(rest)
	}
	return s[:len(s)-len(rest)], rest != ""
}
