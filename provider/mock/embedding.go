package mock

import (
	"encoding/base64"
	"encoding/binary"
	"math"
)

// embedding is a call of embeddings.
type embedding struct {
	Model          string `json:"model"`
	Input          inputs `json:"input"`
	EncodingFormat string `json:"encoding_format"`
	Dimensions     *int   `json:"dimensions"`
}

const (
	defaultDimensions = 1536
	maxDimensions     = 4096
	maxInputs         = 2048
)

func (e *embedding) prompt() (*prompt, error) {
	q, err := newPrompt(e.Model)
	if err != nil {
		return nil, err
	}
	if len(e.Input) == 0 {
		return nil, refuse("input", "Missing required parameter: 'input'.")
	}
	if len(e.Input) > maxInputs {
		return nil, refuse("input", "Invalid 'input': %d inputs are too many; expected at most %d.", len(e.Input), maxInputs)
	}
	if err := checkInt(e.dimensions(), 1, maxDimensions); err != nil {
		return nil, refuse("dimensions", "Invalid 'dimensions': %v.", err)
	}
	switch e.EncodingFormat {
	case "", "float", "base64":
	default:
		return nil, refuse("encoding_format", "Invalid 'encoding_format': '%s'; use float or base64.", e.EncodingFormat)
	}
	for _, in := range e.Input {
		q.count("input", in.text, in.tokens)
		q.asked = []string{in.text}
	}
	return q, nil
}

func (e *embedding) dimensions() int { return valueOr(e.Dimensions, defaultDimensions) }

type embeddingList struct {
	Object string          `json:"object"`
	Data   []embeddingItem `json:"data"`
	Model  string          `json:"model"`
	Usage  embeddingUsage  `json:"usage"`
}

type embeddingItem struct {
	Object    string `json:"object"`
	Index     int    `json:"index"`
	Embedding any    `json:"embedding"` // numbers, or base64 of little-endian float32s
}

type embeddingUsage struct {
	PromptTokens int `json:"prompt_tokens"`
	TotalTokens  int `json:"total_tokens"`
}

func (e *embedding) whole(q *prompt, _ []reply) any {
	list := embeddingList{
		Object: "list",
		Model:  q.model,
		Usage:  embeddingUsage{PromptTokens: q.words, TotalTokens: q.words},
	}
	for i, in := range e.Input {
		item := embeddingItem{Object: "embedding", Index: i}
		vector := unitVector(hash(hash(hashOfNothing, q.model), in.text), e.dimensions())
		if e.EncodingFormat == "base64" {
			item.Embedding = packed(vector)
		} else {
			item.Embedding = vector
		}
		list.Data = append(list.Data, item)
	}
	return list
}

// unitVector returns the vector of length 1 that belongs to seed.
func unitVector(seed uint64, dimensions int) []float32 {
	r := random(seed)
	vector := make([]float32, dimensions)
	var squares float64
	for i := range vector {
		x := 2*r.fraction() - 1
		vector[i] = float32(x)
		squares += x * x
	}
	for i := range vector {
		vector[i] = float32(float64(vector[i]) / math.Sqrt(squares))
	}
	return vector
}

func packed(vector []float32) string {
	b := make([]byte, 0, 4*len(vector))
	for _, x := range vector {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return base64.StdEncoding.EncodeToString(b)
}

var _ endpoint = (*embedding)(nil)
