package dialect

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"io"
	"math"
	"strconv"

	"github.com/runestone-gateway/runestone/sse"
)

// maxEmbeddings is how many texts Gemini takes at once.
const maxEmbeddings = 100

// embeddingsToGemini translates a request of embeddings to Gemini's batchEmbedContents.
func embeddingsToGemini(body []byte, t *Target) (*Translation, error) {
	e := &embeddingsReader{}
	if err := eachMember(body, "body", e.member); err != nil {
		return nil, err
	}
	if len(e.inputs) == 0 {
		return nil, Invalid("input", "missing_required_parameter", "Missing required parameter: 'input'.")
	}
	model := GeminiResource(t.Model)
	w := writer{b: make([]byte, 0, len(body)+len(e.inputs)*(len(model)+96))}
	w.open('{')
	w.key("requests")
	w.open('[')
	for _, input := range e.inputs {
		w.open('{')
		w.member("model", model)
		w.key("content")
		w.open('{')
		w.key("parts")
		w.open('[')
		w.raw(geminiText(input))
		w.close(']')
		w.close('}')
		w.optional("outputDimensionality", e.dimensions)
		w.close('}')
	}
	w.close(']')
	w.close('}')
	answers := &embeddingAnswers{model: t.Shown, inputs: len(e.inputs), base64: e.base64}
	return &Translation{Body: w.b, Adjusted: e.adjusted(), Answers: answers}, nil
}

// embeddingsReader reads a request.
type embeddingsReader struct {
	inputs     [][]byte // with their quotes
	dimensions json.RawMessage
	base64     bool
	adjustments
}

func (e *embeddingsReader) member(name string, value []byte) (err error) {
	switch name {
	case "model":
	case "input":
		return e.input(value)
	case "dimensions":
		if n, err := readWhole(value, name); err != nil || n == nil {
			return err
		}
		e.dimensions = value
	case "encoding_format":
		format, err := readText(value, name)
		if err == nil && format != "" && format != "float" && format != "base64" {
			err = Invalid(name, "invalid_value", "'encoding_format' must be float or base64.")
		}
		e.base64 = format == "base64"
		return err
	default:
		if !isNull(value) {
			e.adjust(name)
		}
	}
	return nil
}

func (e *embeddingsReader) input(value []byte) error {
	if value[0] == '"' {
		return e.text(value, "input")
	}
	return eachElement(value, "input", func(i int, value []byte) error {
		if len(e.inputs) == maxEmbeddings {
			return Invalid("input", "invalid_value", "'input' must have no more than "+strconv.Itoa(maxEmbeddings)+" texts for this model.")
		}
		return e.text(value, index("input", i))
	})
}

func (e *embeddingsReader) text(value []byte, at string) error {
	switch {
	case value[0] != '"':
		return Invalid(at, "unsupported_parameter", "'"+at+"' must be a string: this model has tokens of its own.")
	case !hasText(value):
		return Invalid(at, "invalid_value", "'"+at+"' is empty.")
	}
	e.inputs = append(e.inputs, value)
	return nil
}

// embeddingAnswers translates answers of batchEmbedContents to those of embeddings.
type embeddingAnswers struct {
	model  string
	inputs int
	base64 bool
	usage  Usage
	floats []byte
}

// Whole implements [Answers].
func (a *embeddingAnswers) Whole(dst, body []byte) ([]byte, error) {
	before := len(dst)
	dst = append(dst, `{"object":"list","data":[`...)
	n, failed := 0, false
	read := func(name string, value []byte) error {
		switch name {
		case "embeddings":
			return eachElement(value, "embeddings", func(_ int, one []byte) error {
				if n > 0 {
					dst = append(dst, ',')
				}
				var err error
				dst, err = a.embedding(dst, one, n)
				n++
				return err
			})
		case "usageMetadata":
			in := newGeminiAnswer()
			in.scanner = scanner{data: value}
			if err := in.readUsage(); err != nil {
				return err
			}
			a.usage = in.usage
		case "error":
			failed = !isNull(value)
		}
		return nil
	}
	body = bytes.TrimSpace(body)
	switch err := eachChecked(body, "body", read); {
	case err != nil || failed:
		return dst[:before], geminiError(body)
	case n != a.inputs:
		return dst[:before], unreadable("The provider's answer has " + strconv.Itoa(n) + " embeddings for " + strconv.Itoa(a.inputs) + " texts.")
	}
	dst = append(dst, `],"model":`...)
	dst = appendJSON(dst, a.model)
	dst = append(dst, `,"usage":{"prompt_tokens":`...)
	dst = strconv.AppendInt(dst, a.usage.Input, 10)
	dst = append(dst, `,"total_tokens":`...)
	dst = strconv.AppendInt(dst, a.usage.Input, 10)
	return append(dst, "}}"...), nil
}

// embedding appends an embedding. Its numbers stay as they were written, unless they are wanted in base64.
func (a *embeddingAnswers) embedding(dst, one []byte, n int) ([]byte, error) {
	dst = append(dst, `{"object":"embedding","index":`...)
	dst = strconv.AppendInt(dst, int64(n), 10)
	dst = append(dst, `,"embedding":`...)
	found := false
	a.floats = a.floats[:0]
	err := eachMember(one, "embeddings", func(name string, value []byte) error {
		if name != "values" || found {
			return nil
		}
		found = true
		if !a.base64 {
			dst = append(dst, '[')
		}
		err := eachElement(value, "values", func(i int, number []byte) (err error) {
			if _, err = readNumber(number, "values"); err != nil || isNull(number) {
				return ErrNotJSON
			}
			switch {
			case a.base64:
				f, _ := strconv.ParseFloat(string(number), 32) // one that is too large becomes infinite
				a.floats = binary.LittleEndian.AppendUint32(a.floats, math.Float32bits(float32(f)))
			case i > 0:
				dst = append(append(dst, ','), number...)
			default:
				dst = append(dst, number...)
			}
			return nil
		})
		if !a.base64 {
			dst = append(dst, ']')
		}
		return err
	})
	switch {
	case err != nil:
		return dst, err
	case !found:
		return dst, ErrNotJSON
	case a.base64:
		dst = append(dst, '"')
		dst = base64.StdEncoding.AppendEncode(dst, a.floats)
		dst = append(dst, '"')
	}
	return append(dst, '}'), nil
}

// Event implements [Answers]. Embeddings are not streamed.
func (a *embeddingAnswers) Event(dst []byte, e sse.Event) ([]byte, error) {
	return dst, geminiError(e.Data)
}

// End implements [Answers].
func (a *embeddingAnswers) End(dst []byte) ([]byte, error) { return dst, io.ErrUnexpectedEOF }

// Done implements [Answers].
func (a *embeddingAnswers) Done() bool { return false }

// Usage implements [Answers].
func (a *embeddingAnswers) Usage() Usage { return a.usage }

// Sequence implements [Answers].
func (a *embeddingAnswers) Sequence() int64 { return 0 }
