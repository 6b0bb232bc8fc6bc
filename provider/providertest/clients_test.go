package providertest

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/runestone-gateway/runestone/dialect"
)

// shown returns an answer under the name that the client has for the model.
func shown(body []byte) []byte {
	for _, name := range []string{"gpt-4o-2024-08-06", "gpt-4o", "claude-sonnet-4-5-20250929", "deepseek-r1"} {
		body = bytes.ReplaceAll(body, []byte(`"`+name+`"`), []byte(`"smart"`))
	}
	return body
}

// Clients take what the vendors send, and see in it what the recordings say.
func TestClientsReadTheVendorsOwnAnswers(t *testing.T) {
	t.Parallel()
	loose := []string{"azure.sse", "one_index.sse", "reasoning.sse"} // which the strictest client would not take
	for _, api := range []dialect.API{dialect.Chat, dialect.Messages} {
		for _, r := range recordings(t, api) {
			client := readWhole
			if r.stream {
				client = readStream
			}
			if slices.Contains(loose, r.name) {
				continue
			}
			got, err := client(api, shown(r.body))
			if want := fmt.Sprintf("%+v", r.want.outcome); err != nil || fmt.Sprintf("%+v", got) != want {
				t.Errorf("%s %s: got %+v and %v, want %s", api, r.name, got, err, want)
			}
		}
	}
}

// What is missing, twice or out of place is not taken.
func TestClientsRefuseWhatIsNotRight(t *testing.T) {
	t.Parallel()
	for api, may := range map[dialect.API][]string{
		// Losing one of these changes what is said, or tells nothing, and is no fault of form.
		dialect.Chat:     {`"content":"`, `"usage":{`, `"arguments":"`},
		dialect.Messages: {"ping", "_delta\",\"text\"", "signature_delta", "thinking_delta", `"partial_json":""`},
	} {
		for _, r := range recordings(t, api) {
			if !r.stream || r.name == "azure.sse" || r.name == "one_index.sse" || r.name == "reasoning.sse" {
				continue
			}
			events := r.events()
			for i, event := range events {
				if slices.ContainsFunc(may, func(s string) bool { return bytes.Contains(event, []byte(s)) }) && !bytes.Contains(event, []byte(`"role":`)) {
					continue
				}
				for name, changed := range map[string][][]byte{
					"is missing": slices.Delete(slices.Clone(events), i, i+1),
					"is twice":   slices.Insert(slices.Clone(events), i, event),
				} {
					if name == "is twice" && (bytes.Contains(event, []byte("message_delta")) || bytes.Contains(event, []byte(`"role":`))) {
						continue // which several may be
					}
					if got, err := readStream(api, shown(bytes.Join(changed, nil))); err == nil && fmt.Sprintf("%+v", got) == fmt.Sprintf("%+v", r.want.outcome) {
						t.Errorf("%s %s: event %d %s, and nobody minds: %s", api, r.name, i, name, event)
					}
				}
			}
		}
	}
}

func TestStreamsOfResponses(t *testing.T) {
	t.Parallel()
	const item = `{"id":"msg_1","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","text":"Hi","annotations":[]}]}`
	events := [][]byte{
		[]byte("event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{}}\n\n"),
		[]byte("event: response.output_item.added\ndata: {\"type\":\"response.output_item.added\",\"sequence_number\":1,\"output_index\":0,\"item\":{}}\n\n"),
		[]byte("event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":2,\"output_index\":0,\"delta\":\"Hi\"}\n\n"),
		[]byte("event: response.output_item.done\ndata: {\"type\":\"response.output_item.done\",\"sequence_number\":3,\"output_index\":0,\"item\":" + item + "}\n\n"),
		[]byte("event: response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":4,\"response\":{\"id\":\"resp_1\",\"object\":\"response\",\"created_at\":1,\"model\":\"smart\",\"status\":\"completed\",\"output\":[" + item + "],\"usage\":{\"input_tokens\":1,\"output_tokens\":1,\"total_tokens\":2}}}\n\n"),
	}
	if got, err := readStream(dialect.Responses, bytes.Join(events, nil)); err != nil || got.Text != "Hi" || got.Finish != "stop" {
		t.Errorf("got %+v and %v", got, err)
	}
	for i := range events {
		if _, err := readStream(dialect.Responses, bytes.Join(slices.Delete(slices.Clone(events), i, i+1), nil)); err == nil {
			t.Errorf("event %d is missing, and nobody minds", i)
		}
	}
}

func TestNormalReplacesWhatIsMadeUpOnly(t *testing.T) {
	t.Parallel()
	const text = `{"id":"a1","created":17,"x":[{"id":"b","item_id":"a1","id":"b"}],"created_at":3}`
	const want = `{"id":"#0","created":0,"x":[{"id":"#1","item_id":"#0","id":"#1"}],"created_at":0}`
	if got := normal([]byte(text)); string(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestVariantsSayTheSame(t *testing.T) {
	t.Parallel()
	for _, api := range []dialect.API{dialect.Chat, dialect.Messages} {
		for _, r := range recordings(t, api) {
			if !r.stream || len(r.variants(api)) < 9 {
				continue
			}
			for name, body := range r.variants(api) {
				if bytes.Equal(body, r.body) {
					t.Errorf("%s: %s changes nothing", r.name, name)
				}
			}
		}
	}
}
