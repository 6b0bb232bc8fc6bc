package dialect

import (
	"encoding/json"
	"strings"
)

// userParts returns the parts for a block that a user or a tool says.
func (m *messagesReader) userParts(b *messagesBlock, at string) ([]ChatPart, error) {
	switch b.kind {
	case "text":
		if b.text == nil {
			return nil, missing(at + ".text")
		}
		return []ChatPart{cachedText(b.text, b.cache)}, nil
	case "image":
		part, err := m.image(b, at+".source")
		return []ChatPart{part}, err
	case "document":
		if enabled(b.citations) {
			m.adjust(at + ".citations")
		}
		return m.document(b, at+".source")
	case "search_result":
		return m.searchResult(b, at)
	}
	return nil, noBlock(b, at)
}

// searchResult returns the parts for what a search of the client's has found: its title, where it is, and its text.
func (m *messagesReader) searchResult(b *messagesBlock, at string) ([]ChatPart, error) {
	if enabled(b.citations) {
		m.adjust(at + ".citations")
	}
	if b.source == nil {
		return nil, missing(at + ".source")
	}
	source, err := stringOf(b.source, at+".source")
	if err != nil {
		return nil, err
	}
	found, err := m.resultParts(&messagesBlock{content: b.content}, at)
	parts := append([]ChatPart{cachedText(documentText(&messagesBlock{title: b.title}, source), nil)}, found...)
	if b.cache != nil {
		parts[len(parts)-1].CacheControl = b.cache
	}
	return parts, err
}

// enabled reports whether an object says "enabled":true.
func enabled(object []byte) (is bool) {
	if object != nil {
		_ = eachMember(object, "", func(name string, value []byte) error {
			is = is || name == "enabled" && string(value) == "true"
			return nil
		})
	}
	return is
}

// messagesSource is where an image or a document comes from. The values are as they were written.
type messagesSource struct {
	kind                           string
	mediaType, data, url, contents []byte
}

func readSource(value []byte, at string) (s messagesSource, err error) {
	if value == nil {
		return s, missing(at)
	}
	err = eachMember(value, at, func(name string, value []byte) (err error) {
		switch name {
		case "type":
			s.kind, err = readText(value, at+".type")
		case "media_type":
			s.mediaType, err = stringOf(value, at+".media_type")
		case "data":
			s.data, err = stringOf(value, at+".data")
		case "url":
			s.url, err = stringOf(value, at+".url")
		case "content":
			s.contents = present(value)
		}
		return err
	})
	switch {
	case err != nil:
	case s.kind == "base64" && s.mediaType == nil:
		err = missing(at + ".media_type")
	case (s.kind == "base64" || s.kind == "text") && s.data == nil:
		err = missing(at + ".data")
	case s.kind == "url" && s.url == nil:
		err = missing(at + ".url")
	case s.kind == "content" && s.contents == nil:
		err = missing(at + ".content")
	case s.kind == "file":
		err = Invalid(at+".type", "unsupported_parameter", "'"+at+"' is a file at Anthropic, which this model cannot read: send it as base64.")
	}
	return s, err
}

// noSource returns the error for a source that there is not.
func noSource(at, kinds string) *Error {
	return Invalid(at+".type", "invalid_value", "'"+at+".type' must be "+kinds+".")
}

// dataURL appends the URL that data in base64 is, quotes included.
func (s *messagesSource) dataURL(dst []byte) []byte {
	dst = append(append(dst, `"data:`...), s.mediaType[1:len(s.mediaType)-1]...)
	return append(append(dst, `;base64,`...), s.data[1:]...)
}

func (m *messagesReader) image(b *messagesBlock, at string) (ChatPart, error) {
	s, err := readSource(b.source, at)
	if err != nil {
		return ChatPart{}, err
	}
	m.images++
	m.media += len(s.data)
	switch s.kind {
	case "base64":
		return m.imageURL(s.dataURL(make([]byte, 0, len(s.data)+64)), b.cache), nil
	case "url":
		return m.imageURL(s.url, b.cache), nil
	}
	return ChatPart{}, noSource(at, "base64 or url")
}

// imageURL returns the part for an image, whose URL is passed with its quotes.
func (m *messagesReader) imageURL(quoted, cache json.RawMessage) ChatPart {
	w := writer{b: make([]byte, 0, len(quoted)+64)}
	w.open('{')
	w.member("type", "image_url")
	w.key("image_url")
	w.open('{')
	w.key("url")
	w.raw(quoted)
	w.close('}')
	if m.t.Between {
		w.optional("cache_control", cache)
	}
	w.close('}')
	return ChatPart{Type: "image_url", Raw: w.b}
}

// document returns the parts for a document: a PDF is a file, and what is text is that.
func (m *messagesReader) document(b *messagesBlock, at string) ([]ChatPart, error) {
	s, err := readSource(b.source, at)
	if err != nil {
		return nil, err
	}
	switch s.kind {
	case "base64":
		m.media += len(s.data)
		m.images++
		w := writer{b: make([]byte, 0, len(s.data)+96)}
		w.open('{')
		w.key("filename")
		if name := b.title; hasText(name) {
			w.raw(name)
		} else {
			w.text("document.pdf")
		}
		w.key("file_data")
		w.separate()
		w.b = s.dataURL(w.b)
		w.close('}')
		return m.described(b, ChatPart{Type: "file", File: w.b, CacheControl: b.cache}), nil
	case "text":
		return []ChatPart{cachedText(documentText(b, s.data), b.cache)}, nil
	case "url":
		if path, _, _ := strings.Cut(string(unquoted(s.url)), "?"); !m.t.Between || !strings.HasSuffix(strings.ToLower(path), ".pdf") {
			return nil, unsupported(at, "is a URL, from which this model takes no documents: send it as base64.")
		}
		return m.described(b, m.imageURL(s.url, b.cache)), nil
	case "content":
		if m.inDocument {
			return nil, Invalid(at+".type", "invalid_value", "'"+at+"' is that of a document in a document, which has text and images only.")
		}
		m.inDocument = true
		parts, err := m.resultParts(&messagesBlock{content: s.contents}, at)
		m.inDocument = false
		return m.described(b, parts...), err
	}
	return nil, noSource(at, "base64, text, content or url")
}

// described puts what a document's context says before its parts.
func (m *messagesReader) described(b *messagesBlock, parts ...ChatPart) []ChatPart {
	if !hasText(b.context) {
		return parts
	}
	return append([]ChatPart{cachedText(b.context, nil)}, parts...)
}

// documentText returns the text of a document after its title and context, as JSON.
func documentText(b *messagesBlock, text []byte) []byte {
	out := []byte{'"'}
	for _, part := range [][]byte{b.title, b.context} {
		if hasText(part) {
			out = append(append(out, part[1:len(part)-1]...), `\n\n`...)
		}
	}
	return append(out, text[1:]...)
}
