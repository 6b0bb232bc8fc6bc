package dialect

import (
	"encoding/json"
	"strings"
)

// imageTypes are the images that Anthropic takes (base64_image_source_param), under each of their names.
var imageTypes = map[string]string{
	"image/jpeg": "image/jpeg", "image/jpg": "image/jpeg", "image/png": "image/png", "image/gif": "image/gif", "image/webp": "image/webp",
}

const pdfType = "application/pdf"

// dataURL splits a data URL with base64 into its media type and data.
func dataURL(url string) (media, data string, ok bool) {
	rest, ok := strings.CutPrefix(url, "data:")
	if !ok {
		return "", "", false
	}
	head, data, ok := strings.Cut(rest, ",")
	media, encoded := strings.CutSuffix(head, ";base64")
	media, _, _ = strings.Cut(media, ";")
	return strings.ToLower(media), data, ok && encoded
}

func (m *messagesMaker) imageBlock(url string, cache json.RawMessage, at string) (block, error) {
	media, data, ok := dataURL(url)
	switch {
	case ok && media == pdfType:
		return m.dataBlock("document", media, data, "", cache), nil
	case ok && imageTypes[media] != "":
		return m.dataBlock("image", imageTypes[media], data, "", cache), nil
	case strings.HasPrefix(url, "data:"):
		return block{}, Invalid(at, "invalid_value", "'"+at+"' must be an image of the type JPEG, PNG, GIF or WebP, or a PDF, in base64.")
	case !strings.HasPrefix(url, "https://"):
		return block{}, Invalid(at, "invalid_value", "'"+at+"' must begin with https:// or data: for this model.")
	}
	kind := "image"
	if path, _, _ := strings.Cut(url, "?"); strings.HasSuffix(strings.ToLower(path), ".pdf") {
		kind = "document"
	}
	start := m.beginSource(kind, "url")
	m.blocks.member("url", url)
	m.blocks.close('}')
	return m.end(start, cache), nil
}

func (m *messagesMaker) beginSource(kind, source string) (start int) {
	start = m.begin()
	m.blocks.literal(`{"type":"` + kind + `"`)
	m.blocks.key("source")
	m.blocks.literal(`{"type":"` + source + `"`)
	return start
}

// dataBlock writes an image or a document in base64.
func (m *messagesMaker) dataBlock(kind, media, data, title string, cache json.RawMessage) block {
	start := m.beginSource(kind, "base64")
	m.blocks.member("media_type", media)
	m.blocks.member("data", data)
	m.blocks.close('}')
	if title != "" {
		m.blocks.member("title", title)
	}
	return m.end(start, cache)
}

func (m *messagesMaker) fileBlock(file, cache json.RawMessage, at string) (block, error) {
	data, name, id, err := readFile(file, at)
	if err != nil {
		return block{}, err
	}
	media, encoded, ok := dataURL(data)
	switch {
	case id != "" && data == "":
		at += ".file_id"
		return block{}, Invalid(at, "unsupported_parameter", "'"+at+"' is a file at OpenAI, which this model cannot read: send file_data.")
	case ok && media == pdfType:
		return m.dataBlock("document", media, encoded, name, cache), nil
	case ok && imageTypes[media] != "":
		return m.dataBlock("image", imageTypes[media], encoded, "", cache), nil
	}
	at += ".file_data"
	return block{}, Invalid(at, "invalid_value", "'"+at+"' must be a data URL with a PDF or an image in base64.")
}
