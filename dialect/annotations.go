package dialect

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// citation is a page that a model refers to. Where it does so is counted in characters of its text, as OpenAI does.
type citation struct {
	url, title string
	start, end int
}

// readAnnotation reads an annotation of chat completions. It is false for what is none of a page, such as OpenRouter's
// of files.
func readAnnotation(annotation []byte) (c citation, ok bool) {
	kind := ""
	err := eachMember(annotation, "", func(name string, value []byte) error {
		switch {
		case name == "type":
			kind = string(unquoted(value))
		case name == "url_citation" && value[0] == '{':
			return eachMember(value, "", c.member)
		}
		return nil
	})
	return c, err == nil && kind == "url_citation" && c.url != ""
}

func (c *citation) member(name string, value []byte) error {
	number := func(to *int) {
		if n, err := strconv.Atoi(string(value)); err == nil && n >= 0 {
			*to = n
		}
	}
	switch {
	case name == "start_index":
		number(&c.start)
	case name == "end_index":
		number(&c.end)
	case value[0] != '"':
	case name == "url":
		c.url = string(unquoted(value))
	case name == "title":
		c.title = string(unquoted(value))
	}
	return nil
}

// write writes what OpenAI's APIs both have of a citation, one of them in an object of its own.
func (c *citation) write(w *writer) {
	w.key("start_index")
	w.whole(int64(c.start))
	w.key("end_index")
	w.whole(int64(c.end))
	w.member("url", c.url)
	w.member("title", c.title)
}

// chatAnnotations returns citations as chat completions have them, in an array.
func chatAnnotations(all []citation) []byte {
	var w writer
	w.open('[')
	for i := range all {
		w.open('{')
		w.member("type", "url_citation")
		w.key("url_citation")
		w.open('{')
		all[i].write(&w)
		w.close('}')
		w.close('}')
	}
	w.close(']')
	return w.b
}

// maxCitations bounds the citations of an answer.
const maxCitations = 1024

// sourced returns the citations of an answer whose sources are told beside it, as Perplexity does: the text refers to
// the first of them as [1]. One that it does not refer to is cited at its end.
func sourced(text string, sources []citation) (all []citation) {
	cited := make([]bool, len(sources))
	before, characters := 0, 0
	for at := 0; len(all) < maxCitations; at++ {
		next := strings.IndexByte(text[at:], '[')
		if next < 0 {
			break
		}
		at += next
		number, _, closed := strings.Cut(text[at+1:min(len(text), at+len("[1024]"))], "]")
		n, err := strconv.Atoi(number)
		if !closed || err != nil || n < 1 || n > len(sources) || !isDigit(number[0]) {
			continue
		}
		characters += utf8.RuneCountInString(text[before:at])
		before = at
		c := sources[n-1]
		c.start, c.end = characters, characters+len(number)+len("[]")
		cited[n-1] = true
		all = append(all, c)
	}
	end := characters + utf8.RuneCountInString(text[before:])
	for i, c := range sources {
		if !cited[i] && len(all) < maxCitations {
			c.start, c.end = end, end
			all = append(all, c)
		}
	}
	return slices.DeleteFunc(all, func(c citation) bool { return c.url == "" })
}

// readSources reads the sources beside an answer: Perplexity's search_results, which have titles, or its citations, which
// are but URLs.
func readSources(results, citations []byte) (sources []citation) {
	add := func(_ int, value []byte) error {
		var c citation
		switch value[0] {
		case '{':
			_ = eachMember(value, "", c.member)
		case '"':
			c.url = string(unquoted(value))
		}
		sources = append(sources, c) // also those that are none, since they are counted
		return nil
	}
	for _, list := range [][]byte{results, citations} {
		if len(sources) == 0 && len(list) > 0 && list[0] == '[' {
			_ = eachElement(list, "", add)
		}
	}
	return sources
}

// anthropicCitation reads a citation of Anthropic's, of what its search of the web has found.
func anthropicCitation(value []byte) (c citation, ok bool) {
	_ = eachMember(value, "", c.member)
	return c, c.url != ""
}

// characters returns how many characters JSON text without its quotes stands for.
func characters(text []byte) int { return utf8.RuneCount(unescaped(text)) }

// grounding is what Gemini's search of the web has found, and what of the text it supports.
type grounding struct {
	Chunks []struct {
		Web struct {
			URI, Title string
		}
	} `json:"groundingChunks"`
	Supports []struct {
		Segment struct {
			StartIndex, EndIndex int // in bytes of UTF-8
		}
		Chunks []int `json:"groundingChunkIndices"`
	} `json:"groundingSupports"`
}

// groundingCitations returns the citations of a text that a groundingMetadata tells of.
func groundingCitations(metadata []byte, text string) (all []citation) {
	var g grounding
	if len(metadata) == 0 || json.Unmarshal(metadata, &g) != nil {
		return nil
	}
	places := characterCount{text: text}
	for _, s := range g.Supports {
		for _, n := range s.Chunks {
			if n >= 0 && n < len(g.Chunks) && g.Chunks[n].Web.URI != "" && len(all) < maxCitations {
				web := g.Chunks[n].Web
				start := places.before(s.Segment.StartIndex)
				all = append(all, citation{url: web.URI, title: web.Title, start: start, end: max(start, places.before(s.Segment.EndIndex))})
			}
		}
	}
	return all
}

// characterCount counts the characters before places in a text, in whatever order.
type characterCount struct {
	text   string
	counts []int // those before each multiple of countStride
}

// countStride is after how many bytes a count is kept.
const countStride = 4 << 10

// before returns how many characters begin before a byte of the text.
func (c *characterCount) before(place int) int {
	place = min(max(place, 0), len(c.text))
	for n := len(c.counts); n <= place/countStride; n++ {
		count := 0
		if n > 0 {
			count = c.counts[n-1] + beginnings(c.text[(n-1)*countStride:n*countStride])
		}
		c.counts = append(c.counts, count)
	}
	n := place / countStride
	return c.counts[n] + beginnings(c.text[n*countStride:place])
}

// beginnings returns how many characters begin in a piece of a text.
func beginnings(piece string) (n int) {
	for i := range len(piece) {
		if utf8.RuneStart(piece[i]) {
			n++
		}
	}
	return n
}
