package dialect

import (
	"encoding/base64"
	"encoding/json"
	"strings"
)

// responsesPart is a part of what is said, with the members that any kind has.
type responsesPart struct {
	kind, imageURL, detail, fileID, data, url, name string
	text, audio                                     json.RawMessage
}

func readResponsesPart(value []byte, at string) (p responsesPart, err error) {
	err = eachMember(value, at, func(member string, value []byte) (err error) {
		text := func(to *string) { *to, err = readText(value, at+"."+member) }
		switch member {
		case "type":
			text(&p.kind)
		case "text", "refusal":
			var quoted []byte
			if quoted, err = stringOf(value, at+"."+member); quoted != nil {
				p.text = quoted
			}
		case "image_url":
			text(&p.imageURL)
		case "detail":
			text(&p.detail)
		case "file_id":
			text(&p.fileID)
		case "file_data":
			text(&p.data)
		case "file_url":
			text(&p.url)
		case "filename":
			text(&p.name)
		case "input_audio":
			p.audio = present(value)
		}
		return err
	})
	return p, err
}

// part reads a part of a content.
func (r *responsesReader) part(value []byte, at string) (ChatPart, error) {
	p, err := readResponsesPart(value, at)
	if err != nil {
		return ChatPart{}, err
	}
	if p.fileID != "" {
		return ChatPart{}, unsupported(at+".file_id", "is a file at OpenAI, which this model cannot read: send it in the request.")
	}
	switch p.kind {
	case "input_text", "output_text", "text":
		if p.text == nil {
			return ChatPart{}, missing(at + ".text")
		}
		return saidPart(p.text), nil
	case "refusal":
		if p.text == nil {
			return ChatPart{}, missing(at + ".refusal")
		}
		return ChatPart{Type: "refusal", Quoted: p.text}, nil
	case "input_image":
		if p.imageURL == "" {
			return ChatPart{}, missing(at + ".image_url")
		}
		if p.detail == "original" { // which chat completions do not have
			p.detail = "high"
			r.adjust(at + ".detail")
		}
		return ChatPart{Type: "image_url", URL: p.imageURL, Detail: p.detail}, nil
	case "input_file":
		return r.file(&p, at)
	case "input_audio":
		if p.audio == nil {
			return ChatPart{}, missing(at + ".input_audio")
		}
		return ChatPart{Type: "input_audio", Audio: p.audio}, nil
	case "":
		return ChatPart{}, missing(at + ".type")
	}
	return ChatPart{}, unsupported(at+".type", "is "+known(p.kind)+", which this model does not take.")
}

// file returns a file as chat completions have it. They have none with a URL, but what they are translated to may: there a
// PDF goes as an image does.
func (r *responsesReader) file(p *responsesPart, at string) (ChatPart, error) {
	if p.data != "" {
		var w writer
		w.open('{')
		if p.name != "" {
			w.member("filename", p.name)
		}
		w.member("file_data", p.data)
		w.close('}')
		return ChatPart{Type: "file", File: w.b}, nil
	}
	if p.url == "" {
		return ChatPart{}, missing(at + ".file_data")
	}
	path, _, _ := strings.Cut(p.url, "?")
	if !r.t.Between || !strings.HasSuffix(strings.ToLower(path), ".pdf") {
		return ChatPart{}, unsupported(at+".file_url", "is a file that this model does not fetch: send it as file_data.")
	}
	return ChatPart{Type: "image_url", URL: p.url}, nil
}

// carrierPrefix begins an encrypted_content of ours. What follows is base64 of an array of thinking blocks, which
// have signatures of their own: a client that sends reasoning back, as it has to with OpenAI's models, has the
// model that has thought it go on with it.
const carrierPrefix = "runestone1."

// carrier returns an encrypted_content with thinking blocks.
func carrier(blocks []json.RawMessage) string {
	var w writer
	w.open('[')
	for _, block := range blocks {
		w.raw(block)
	}
	w.close(']')
	return carrierPrefix + base64.RawURLEncoding.EncodeToString(w.b)
}

// carriedBlocks returns the thinking blocks of an encrypted_content, nil if it is not ours: another's is for its
// own model alone.
func carriedBlocks(content string) (blocks []json.RawMessage) {
	text, ours := strings.CutPrefix(content, carrierPrefix)
	if !ours {
		return nil
	}
	list, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || !json.Valid(list) {
		return nil
	}
	err = Elements(list, func(at Span) bool {
		if block := list[at.Start:at.End]; block[0] == '{' {
			blocks = append(blocks, oneLine(block))
		}
		return true
	})
	if err != nil {
		return nil
	}
	return blocks
}
