package dialect

import (
	"path"
	"strings"
)

// parts writes the parts of a message, without the texts that are empty: Gemini refuses those. mediaOnly
// leaves out all texts.
func (g *geminiMaker) parts(m *ChatMessage, at string, mediaOnly bool) (parts [][]byte, err error) {
	for i := range m.Content {
		p := &m.Content[i]
		partAt := at + ".content"
		if !m.Text {
			partAt = index(partAt, i)
		}
		isText := p.Type == "text" || p.Type == "refusal"
		if isText && (len(p.Quoted) <= len(`""`) || mediaOnly) {
			continue
		}
		if !isText && (m.Role == "system" || m.Role == "developer" || m.Role == "assistant") {
			return nil, Invalid(partAt+".type", "unsupported_parameter", "'"+partAt+".type' must be text in a message of this role.")
		}
		part, err := g.part(p, partAt)
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
	}
	return parts, nil
}

func (g *geminiMaker) part(p *ChatPart, at string) ([]byte, error) {
	switch p.Type {
	case "text", "refusal":
		return geminiText(p.Quoted), nil
	case "image_url":
		at += ".image_url.url"
		if media, data, ok := dataURL(p.URL); ok && media != "" {
			return inlineData(media, data), nil
		}
		return g.fileData(p.URL, "image/jpeg", at)
	case "input_audio":
		return inputAudio(p.Audio, at+".input_audio")
	case "file":
		return g.file(p.File, at+".file")
	}
	return nil, Invalid(at+".type", "unsupported_parameter", "'"+at+".type' is of a kind that this model does not take.")
}

// geminiText writes a text, which is passed with its quotes.
func geminiText(quoted []byte) []byte {
	b := append(make([]byte, 0, len(quoted)+len(`{"text":}`)), `{"text":`...)
	return append(append(b, quoted...), '}')
}

// inlineData writes data in base64.
func inlineData(media, data string) []byte {
	w := writer{b: make([]byte, 0, len(data)+len(media)+64)}
	w.open('{')
	w.key("inlineData")
	w.open('{')
	w.member("mimeType", media)
	w.member("data", data)
	w.close('}')
	w.close('}')
	return w.b
}

// fileData writes where a file is: at Google already, which any model reads, or elsewhere. usual is its type where its
// name does not tell, "" for none.
func (g *geminiMaker) fileData(uri, usual, at string) ([]byte, error) {
	switch {
	case atGoogle(uri):
		usual = ""
	case strings.HasPrefix(uri, "data:"):
		return nil, Invalid(at, "invalid_value", "'"+at+"' must name its type and be in base64, as in data:image/png;base64,iVBORw0K.")
	case !strings.HasPrefix(uri, "https://") && !strings.HasPrefix(uri, "http://"):
		return nil, Invalid(at, "invalid_value", "'"+at+"' must begin with https:// or data:.")
	case !g.model.fetches():
		return nil, Invalid(at, "unsupported_parameter", "'"+at+"' must be a data: URL, as this model does not fetch files.")
	}
	media := mediaOf(uri)
	if media == "" {
		media = usual
	}
	w := writer{}
	w.open('{')
	w.key("fileData")
	w.open('{')
	if media != "" {
		w.member("mimeType", media)
	}
	w.member("fileUri", uri)
	w.close('}')
	w.close('}')
	return w.b, nil
}

// atGoogle reports whether a file is at the Files API, in Cloud Storage or on YouTube.
func atGoogle(uri string) bool {
	for _, prefix := range [...]string{
		"https://generativelanguage.googleapis.com/", "gs://", "https://www.youtube.com/", "https://youtube.com/", "https://youtu.be/",
	} {
		if strings.HasPrefix(uri, prefix) {
			return true
		}
	}
	return false
}

// mediaTypes are the types of files by the ends of their names.
var mediaTypes = map[string]string{
	".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp", ".gif": "image/gif",
	".heic": "image/heic", ".heif": "image/heif", ".bmp": "image/bmp",
	".pdf": "application/pdf", ".txt": "text/plain", ".md": "text/markdown", ".csv": "text/csv", ".html": "text/html",
	".xml": "text/xml", ".json": "application/json",
	".mp3": "audio/mp3", ".wav": "audio/wav", ".ogg": "audio/ogg", ".flac": "audio/flac", ".aac": "audio/aac", ".aiff": "audio/aiff",
	".mp4": "video/mp4", ".mov": "video/quicktime", ".webm": "video/webm", ".mpeg": "video/mpeg",
}

// mediaOf returns the type of a file by its name, "" if that does not tell.
func mediaOf(name string) string {
	name, _, _ = strings.Cut(name, "?")
	name, _, _ = strings.Cut(name, "#")
	return mediaTypes[strings.ToLower(path.Ext(name))]
}

func inputAudio(audio []byte, at string) ([]byte, error) {
	var data, format string
	err := eachMember(audio, at, func(member string, value []byte) (err error) {
		switch member {
		case "data":
			data, err = readText(value, at+".data")
		case "format":
			format, err = readText(value, at+".format")
		}
		return err
	})
	media := mediaTypes["."+strings.ToLower(format)]
	switch {
	case err != nil:
		return nil, err
	case data == "":
		return nil, Invalid(at+".data", "missing_required_parameter", "Missing required parameter: '"+at+".data'.")
	case !strings.HasPrefix(media, "audio/"):
		return nil, Invalid(at+".format", "invalid_value", "'"+at+".format' must be wav, mp3, aac, aiff, flac or ogg.")
	}
	return inlineData(media, data), nil
}

func (g *geminiMaker) file(file []byte, at string) ([]byte, error) {
	data, name, id, err := readFile(file, at)
	if err != nil {
		return nil, err
	}
	media, encoded, ok := dataURL(data)
	if media == "" {
		media = mediaOf(name)
	}
	switch {
	case ok && media != "":
		return inlineData(media, encoded), nil
	case data == "" && atGoogle(id):
		return g.fileData(id, "", at+".file_id")
	case data == "" && id != "":
		return nil, Invalid(at+".file_id", "unsupported_parameter", "'"+at+".file_id' is a file at OpenAI, which this model cannot read: send file_data.")
	}
	return nil, Invalid(at+".file_data", "invalid_value", "'"+at+".file_data' must be a data URL in base64 that names its type, as in data:application/pdf;base64,JVBERi0.")
}
