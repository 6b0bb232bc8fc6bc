package mock

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"slices"
	"testing"
)

type floatEmbeddings struct {
	Object string `json:"object"`
	Data   []struct {
		Object    string    `json:"object"`
		Index     int       `json:"index"`
		Embedding []float32 `json:"embedding"`
	} `json:"data"`
	Model string         `json:"model"`
	Usage embeddingUsage `json:"usage"`
}

func TestEmbeddingsAreUnitVectorsOfTheirInput(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, input  string
		more         string
		inputs, dims int
		tokens       int
	}{
		{"of a string", `"one two"`, ``, 1, 1536, 2},
		{"of strings", `["one two","three"]`, `,"dimensions":256`, 2, 256, 3},
		{"of tokens", `[10,20,30]`, `,"dimensions":3,"encoding_format":"float"`, 1, 3, 3},
		{"of arrays of tokens", `[[10,20],[30]]`, `,"dimensions":3`, 2, 3, 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := ask[floatEmbeddings](t, quick(), "embeddings", `{"model":"m","input":`+tt.input+tt.more+`}`)
			if got.Object != "list" || got.Model != "m" || len(got.Data) != tt.inputs ||
				got.Usage != (embeddingUsage{PromptTokens: tt.tokens, TotalTokens: tt.tokens}) {
				t.Fatalf("got %+v", got)
			}
			for i, item := range got.Data {
				var squares float64
				for _, x := range item.Embedding {
					squares += float64(x) * float64(x)
				}
				if item.Object != "embedding" || item.Index != i || len(item.Embedding) != tt.dims || math.Abs(squares-1) > 1e-5 {
					t.Errorf("item %d, %s, has %d numbers and a length of %v", item.Index, item.Object, len(item.Embedding), math.Sqrt(squares))
				}
			}
		})
	}
}

func TestEmbeddingsDependOnTheInputAlone(t *testing.T) {
	t.Parallel()
	vectors := func(input string) [][]float32 {
		got := ask[floatEmbeddings](t, quick(), "embeddings", `{"model":"m","dimensions":8,"input":`+input+`}`)
		var list [][]float32
		for _, item := range got.Data {
			list = append(list, item.Embedding)
		}
		return list
	}
	alone, among := vectors(`"two"`), vectors(`["one","two"]`)
	if !slices.Equal(alone[0], among[1]) || slices.Equal(among[0], among[1]) {
		t.Errorf("alone %v, among others %v", alone, among)
	}
}

func TestEmbeddingsInBase64AreTheSameNumbers(t *testing.T) {
	t.Parallel()
	const body = `{"model":"m","input":"one","dimensions":16,"encoding_format":`
	want := ask[floatEmbeddings](t, quick(), "embeddings", body+`"float"}`).Data[0].Embedding
	packed := ask[struct {
		Data []struct {
			Embedding string `json:"embedding"`
		} `json:"data"`
	}](t, quick(), "embeddings", body+`"base64"}`).Data[0].Embedding
	b, err := base64.StdEncoding.DecodeString(packed)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]float32, len(b)/4)
	if _, err := binary.Decode(b, binary.LittleEndian, got); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestModerationsFlagNothing(t *testing.T) {
	t.Parallel()
	for input, results := range map[string]int{
		`"one"`: 1, `["one","two"]`: 2, `[{"type":"text","text":"one"}]`: 1,
	} {
		got := ask[moderationAnswer](t, quick(), "moderations", `{"input":`+input+`}`)
		if got.Model != "omni-moderation-latest" || len(got.ID) != len("modr-")+29 || len(got.Results) != results {
			t.Fatalf("%s: %+v", input, got)
		}
		for _, r := range got.Results {
			if r.Flagged || len(r.Categories) != 13 || len(r.Scores) != 13 || len(r.InputTypes) != 13 || r.Categories["violence"] {
				t.Errorf("%s: %+v", input, r)
			}
		}
	}
}
