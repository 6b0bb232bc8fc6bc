package dialect

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// The web is searched where the model can, and else the model does without it.
func TestResponsesWebSearch(t *testing.T) {
	t.Parallel()
	const plain = `{"type":"web_search","external_web_access":true}`
	const f = `{"type":"function","name":"f","parameters":{"type":"object","properties":{}}}`
	for _, test := range []struct {
		name     string
		to       API
		tools    string
		has      string // of what is sent
		adjusted []string
	}{
		{"a chat server has none", Chat, f + "," + plain, "", []string{"tools[1]"}},
		{"Anthropic has one", Messages, f + `,{"type":"web_search_preview","user_location":{"type":"approximate","city":"Bonn"}}`, `{"type":"web_search_20250305","name":"web_search","user_location":{"type":"approximate","city":"Bonn"}}`, nil},
		{"which cannot be told to use some sites", Messages, `{"type":"web_search","filters":{"allowed_domains":["a.org"]}}`, "", []string{"tools[0]"}},
		{"Google has one", Gemini, plain, `"googleSearch":{}`, nil},
		{"but not beside functions", Gemini, plain + "," + f, "", []string{"tools[0]"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			tr, err := Translate(Responses, test.to, []byte(`{"model":"m","input":"x","tools":[`+test.tools+`]}`), &Target{Model: "m"})
			if err != nil {
				t.Fatal(err)
			}
			if body := string(tr.Body); !strings.Contains(body, test.has) || test.has == "" && strings.Contains(strings.ToLower(body), "search") || !slices.Equal(tr.Adjusted, test.adjusted) {
				t.Errorf("adjusted %v: %s", tr.Adjusted, body)
			}
		})
	}
	tr, err := Translate(Responses, Chat, []byte(`{"model":"m","input":[`+goes+`,{"type":"web_search_call","id":"ws_1","status":"completed","action":{"type":"search","query":"q"}}]}`), &Target{Model: "m"})
	if err != nil || !slices.Equal(tr.Adjusted, []string{"input[1]"}) {
		t.Errorf("an earlier search: %v, adjusted %v", err, tr.Adjusted)
	}
}

// A search is a tool as others are, which tool_choice may forbid or demand.
func TestResponsesWebSearchByChoice(t *testing.T) {
	t.Parallel()
	const search, f, g = `{"type":"web_search"}`, `{"type":"function","name":"f"}`, `{"type":"function","name":"g"}`
	const searchAs, fAs, gAs = `{"type":"web_search_20250305","name":"web_search"}`, `{"name":"f","input_schema":{"type":"object","properties":{}}}`, `{"name":"g","input_schema":{"type":"object","properties":{}}}`
	const none, required, anyAs = `"none"`, `"required"`, `,"tool_choice":{"type":"any"}`
	allowed := func(mode string, tools ...string) string {
		return `{"type":"allowed_tools","mode":"` + mode + `","tools":[` + strings.Join(tools, ",") + `]}`
	}
	is := func(tools, more string) string { return `,"tools":[` + tools + `]` + more }
	const declared = `{"functionDeclarations":[{"name":"f"}]}`
	calls := func(mode string) string { return `,"toolConfig":{"functionCallingConfig":{"mode":"` + mode + `"}}` }
	for _, test := range []struct {
		name          string
		to            API
		tools, choice string
		want          string // what follows the conversation
		adjusted      []string
	}{
		{"it may not", Messages, search, none, "", nil},
		{"it may do nothing", Messages, f + "," + search, none, is(fAs, `,"tool_choice":{"type":"none"}`), nil},
		{"it must", Messages, search, required, is(searchAs, anyAs), nil},
		{"it must do something", Messages, search + "," + f, required, is(fAs+","+searchAs, anyAs), nil},
		{"it may", Messages, search, `"auto"`, is(searchAs, ""), nil},
		{"it may do something else", Messages, search + "," + f, allowed("auto", f), is(fAs, `,"tool_choice":{"type":"auto"}`), nil},
		{"it must do something else", Messages, search + "," + f + "," + g, allowed("required", g), is(gAs, anyAs), nil},
		{"it may do that and something else", Messages, f + "," + g + "," + search, allowed("auto", search, g), is(gAs+","+searchAs, `,"tool_choice":{"type":"auto"}`), nil},
		{"it may do nothing but that", Messages, f + "," + search, allowed("auto", search), is(searchAs, ""), nil},
		{"it must do that", Messages, f + "," + search, allowed("required", search), is(searchAs, anyAs), nil},
		{"Google's: it may not", Gemini, search, none, "", nil},
		{"Google's: it cannot be told to", Gemini, search, required, is(`{"googleSearch":{}}`, ""), []string{"tool_choice"}},
		{"Google's: it may do nothing", Gemini, search + "," + f, none, is(declared, calls("NONE")), nil},
		{"Google's: it may do something else", Gemini, search + "," + f, allowed("auto", f), is(declared, calls("AUTO")), nil},
		{"Google's: it may do nothing but that", Gemini, f + "," + search, allowed("auto", search), is(`{"googleSearch":{}}`, ""), nil},
		{"a chat server: it may not", Chat, search, none, "", nil},
		{"a chat server: it must", Chat, search, required, "", []string{"tools[0]", "tool_choice"}},
		{"a chat server: it may do that and something else", Chat, search + "," + f, allowed("auto", search, f),
			is(`{"type":"function","function":{"name":"f"}}`, `,"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[{"type":"function","function":{"name":"f"}}]}}`), []string{"tools[0]"}},
	} {
		for _, body := range []string{`{"input":"x","tools":[` + test.tools + `],"tool_choice":` + test.choice + `}`, `{"tool_choice":` + test.choice + `,"tools":[` + test.tools + `],"input":"x"}`} {
			x, err := Translate(Responses, test.to, []byte(body), &Target{Model: "gemini-2.5-pro"})
			if err != nil {
				t.Errorf("%s: %v", test.name, err)
				continue
			}
			_, got, _ := strings.Cut(string(x.Body), "x\"")
			got = strings.TrimSuffix(strings.TrimLeft(got, "}]"), "}")
			if got != test.want || !slices.Equal(x.Adjusted, test.adjusted) {
				t.Errorf("%s: adjusted %q,\n got %s,\nwant %s", test.name, x.Adjusted, got, test.want)
			}
		}
	}
	for _, test := range []struct {
		to                   API
		tools, choice, param string
	}{
		{Chat, search + "," + f, allowed("auto", search), "tool_choice.tools[0].type"},
		{Gemini, f, allowed("auto", search), "tool_choice.tools[0].type"},
		{Messages, f, allowed("required", search), "tool_choice.tools[0].type"},
		{Messages, search, `{"type":"function","name":"f"}`, "tool_choice"},
	} {
		_, err := Translate(Responses, test.to, []byte(`{"input":"x","tools":[`+test.tools+`],"tool_choice":`+test.choice+`}`), &Target{Model: "m"})
		if e, ok := errors.AsType[*Error](err); !ok || e.Status != 400 || e.Param != test.param {
			t.Errorf("%s of %s: %v", test.choice, test.tools, err)
		}
	}
}
