package openai

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/runestone-gateway/runestone/dialect"
	"github.com/runestone-gateway/runestone/provider"
)

// sent returns what the server of a preset gets for a chat completion.
func sent(t testing.TB, preset, body, model string) string {
	t.Helper()
	scan, err := dialect.ScanOpenAI([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	r := &provider.Request{
		API: chat, Method: http.MethodPost, Path: "/v1/chat/completions",
		Model: scan.Model, ModelSpan: scan.ModelSpan, Stream: scan.Stream, Body: provider.NewBody([]byte(body), nil),
	}
	if scan.Stream && !scan.IncludeUsage {
		at, text := dialect.AskForUsage([]byte(body), scan.ModelSpan, scan.StreamOptions)
		r.AskUsage = provider.Edit{Span: at, New: text}
	}
	req := ask(t, loadPreset(t, preset, `{}`), r, provider.Target{Model: model})
	got, err := io.ReadAll(req.Body)
	if err != nil || req.ContentLength != int64(len(got)) {
		t.Fatalf("%d bytes of %d and %v", len(got), req.ContentLength, err)
	}
	return string(got)
}

func TestWhatIsChangedForOthersThanOpenAI(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ preset, body, want string }{
		"nothing": {"mistral", `{"model":"m","messages":[{"role":"system","content":"developer"}],"max_tokens":5}`, ""},
		"the words in a text": {
			"mistral", `{"model":"m","messages":[{"role":"user","content":"\"developer\", \"max_completion_tokens\" \"required\" \"tool_call_id\""}]}`, "",
		},
		"the words elsewhere": {
			"mistral", `{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"developer"}],"name":"developer"}],"tools":[{"function":{"parameters":{"properties":{"max_completion_tokens":{}},"required":["max_completion_tokens"],"tool_choice":"required","role":"developer"}}}]}`, "",
		},
		"a newer limit that says nothing": {
			"deepseek", `{"max_tokens":4,"max_completion_tokens":null,"model":"m"}`, `{"max_tokens":4,"model":"m"}`,
		},
		"nothing for OpenAI": {"openai", `{"model":"m","max_completion_tokens":5,"messages":[{"role":"developer","content":"x"}]}`, ""},
		"the limit": {
			"mistral", `{"model":"m", "max_completion_tokens" : 5 ,"messages":[]}`, `{"model":"m", "max_tokens":5 ,"messages":[]}`,
		},
		"the limit where the newer name is known": {"groq", `{"model":"m","max_completion_tokens":5,"messages":[]}`, ""},
		"both limits, the older first": {
			"deepseek", `{"max_tokens":4 , "max_completion_tokens":5,"model":"m"}`, `{ "max_tokens":5,"model":"m"}`,
		},
		"both limits, the older last": {
			"deepseek", `{"max_completion_tokens":5,"model":"m" , "max_tokens":4 }`, `{"max_tokens":5,"model":"m"  }`,
		},
		"both limits, alone": {
			"deepseek", `{"max_completion_tokens":5,"max_tokens":4}`, `{"max_tokens":5}`,
		},
		"the role": {
			"xai", `{"model":"m","messages":[{"role":"developer","content":"developer"},{"content":"x","role" : "developer" },{"role":"user","content":"hi"}]}`,
			`{"model":"m","messages":[{"role":"system","content":"developer"},{"content":"x","role" : "system" },{"role":"user","content":"hi"}]}`,
		},
		"tool_choice": {
			"mistral", `{"model":"m","tool_choice":"required","messages":[]}`, `{"model":"m","tool_choice":"any","messages":[]}`,
		},
		"tool_choice elsewhere": {"deepseek", `{"model":"m","tool_choice":"required","messages":[]}`, ""},
		"IDs that are as they must be": {
			"mistral", `{"model":"m","messages":[{"role":"assistant","tool_calls":[{"id":"abcDEF123"}]},{"role":"tool","tool_call_id":"abcDEF123"}]}`, "",
		},
		"stream_options, which are refused": {
			"mistral", `{"model":"m","messages":[],"stream":true,"stream_options":{"include_usage":true}}`, `{"model":"m","messages":[],"stream":true}`,
		},
		"stream_options and both limits, side by side": {
			"mistral", `{"model":"m","max_completion_tokens":5, "stream_options":{"include_usage":true} , "max_tokens":4}`, `{"model":"m","max_tokens":5}`,
		},
		"stream_options where they are known": {"together", `{"model":"m","stream":true,"stream_options":{"include_usage":true}}`, ""},
		"messages that are none":              {"mistral", `{"model":"m","max_completion_tokens":1,"messages":"developer"}`, `{"model":"m","max_tokens":1,"messages":"developer"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := test.want
			if want == "" {
				want = test.body
			}
			if got := sent(t, test.preset, test.body, ""); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

func TestIDsOfToolCallsForMistral(t *testing.T) {
	t.Parallel()
	const one, two = "call_0123456789abcdef", "toolu_x"
	body := `{"model":"m","messages":[{"role":"assistant","tool_calls":[{"id":"` + one + `","type":"function"},{"type":"function","id":"` + two +
		`"}]},{"role":"tool","tool_call_id":"` + two + `","content":"` + two + `"},{"tool_call_id":"` + one + `","role":"tool"}]}`
	var got struct {
		Messages []struct {
			ToolCalls []struct{ ID string } `json:"tool_calls"`
			Answers   string                `json:"tool_call_id"`
			Content   string
		}
	}
	if err := json.Unmarshal([]byte(sent(t, "mistral", body, "")), &got); err != nil {
		t.Fatal(err)
	}
	first, second := got.Messages[0].ToolCalls[0].ID, got.Messages[0].ToolCalls[1].ID
	for _, id := range []string{first, second} {
		if len(id) != 9 || strings.Trim(id, alphanumerics) != "" {
			t.Errorf("%q is not of nine letters and digits", id)
		}
	}
	if first == second || got.Messages[1].Answers != second || got.Messages[2].Answers != first {
		t.Errorf("the results do not belong to their calls: %+v", got)
	}
	if got.Messages[1].Content != two {
		t.Error("a text has changed")
	}
}

// Whatever the order of what is edited, the edits do not get in each other's way.
func TestAllChangesAtOnce(t *testing.T) {
	t.Parallel()
	members := []string{
		`"model":"m"`, `"stream":true`, `"max_tokens":4`, `"max_completion_tokens":5`, `"messages":[{"role":"developer"}]`,
	}
	for preset, options := range map[string]string{"mistral": `"stream_options":{"include_usage":true}`, "deepseek": `"tool_choice":"auto"`} {
		want := map[string]any{"model": "other", "stream": true, "max_tokens": 5.0, "messages": []any{map[string]any{"role": "system"}}}
		if preset == "deepseek" {
			want["tool_choice"], want["stream_options"] = "auto", map[string]any{"include_usage": true}
		}
		permute(append(members, options), func(order []string) {
			body := "{" + strings.Join(order, ",") + "}"
			text := sent(t, preset, body, "other")
			var got map[string]any
			if err := json.Unmarshal([]byte(text), &got); err != nil || !reflect.DeepEqual(got, want) {
				t.Fatalf("%s became %s: %v", body, text, err)
			}
		})
	}
}

// permute calls visit with every order of what is in all.
func permute(all []string, visit func([]string)) {
	var from func(k int)
	from = func(k int) {
		if k == len(all) {
			visit(all)
			return
		}
		for i := k; i < len(all); i++ {
			all[k], all[i] = all[i], all[k]
			from(k + 1)
			all[k], all[i] = all[i], all[k]
		}
	}
	from(0)
}

func FuzzAdapt(f *testing.F) {
	for _, body := range []string{
		`{"model":"m","max_tokens":4,"max_completion_tokens":5}`, `{"max_completion_tokens":5,"x":[1,{"y":2}], "max_tokens" : 4 }`,
		`{"messages":[{"role":"developer","tool_call_id":"x","tool_calls":[{"id":"y"}]}],"tool_choice":"required"}`,
		`{"messages":[[],{},null,"developer",{"role":null,"tool_calls":{"id":1}}],"max_completion_tokens":null}`, `{"max_completion_tokens":5`,
		`{"max_completion_tokens":5,"stream_options":{}, "max_tokens":4,"stream_options":null}`,
	} {
		f.Add([]byte(body))
	}
	quirks := dialect.Quirks{MaxTokens: true, SystemRole: true, ToolIDs9: true, RequiredIsAny: true, NoStreamOptions: true}
	f.Fuzz(func(t *testing.T, text []byte) {
		body := provider.NewBody(text, nil)
		edits := adapt(text, &quirks, nil)
		at := 0
		for _, e := range edits {
			if e.Start < at || e.End < e.Start || e.End > len(text) {
				t.Fatalf("%s: the edits %v overlap", text, edits)
			}
			at = e.End
		}
		s := body.Splice(edits...)
		defer s.Close()
		if got := bytes.Join(s.Buffers(), nil); json.Valid(text) && !json.Valid(got) {
			t.Errorf("%s became %s", text, got)
		}
	})
}
