package dialect

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"
)

// needs are the members of OpenAIRequest that say what the request needs.
type needs struct {
	tools, vision, audio, schema bool
	input, output                int
}

func needsOf(r OpenAIRequest) needs {
	return needs{r.Tools, r.Vision, r.Audio, r.JSONSchema, r.InputTokens, r.OutputTokens}
}

// image is data too long to be taken for text unnoticed.
var image = "data:image/png;base64," + strings.Repeat("iVBORw0K", 1000)

func TestScanOpenAITellsWhatARequestNeeds(t *testing.T) {
	t.Parallel()
	quoted := Quote(image)
	for name, test := range map[string]struct {
		body string
		want needs
	}{
		"nothing": {`{"model":"m"}`, needs{}},

		"tools":                  {`{"tools":[{"type":"function"}]}`, needs{tools: true, input: 3}},
		"functions":              {`{"functions":[{"name":"f"}]}`, needs{tools: true, input: 2}},
		"no tools after all":     {`{"tools":[ ],"functions":null}`, needs{}},
		"tools of another shape": {`{"tools":{"type":"function"}}`, needs{input: 3}},
		"a key in escapes":       {`{"\u0074ools":[{}]}`, needs{tools: true}},
		"tools in another case":  {`{"Tools":[{}]}`, needs{}}, // OpenAI's server does not know them
		"tools elsewhere":        {`{"metadata":{"tools":[1],"messages":[{"content":[{"type":"image_url"}]}]}}`, needs{}},

		"an image in a chat":              {`{"messages":[{"content":[{"type":"image_url","image_url":{"url":` + quoted + `}}]}]}`, needs{vision: true, input: 1008}},
		"an image before its type":        {`{"messages":[{"content":[{"image_url":{"url":` + quoted + `},"type":"image_url"}]}]}`, needs{vision: true, input: 1008}},
		"two images":                      {`{"messages":[{"content":[{"type":"image_url"},{"type":"image_url"}]}]}`, needs{vision: true, input: 2009}},
		"an image in a response":          {`{"input":[{"role":"user","content":[{"type":"input_image","image_url":` + quoted + `}]}]}`, needs{vision: true, input: 1010}},
		"an image that is the item":       {`{"input":[{"type":"input_image","image_url":` + quoted + `}]}`, needs{vision: true, input: 1006}},
		"an image that a tool found":      {`{"input":[{"type":"function_call_output","output":[{"type":"input_image","image_url":` + quoted + `}]}]}`, needs{vision: true, input: 1014}},
		"a screenshot":                    {`{"input":[{"output":{"type":"computer_screenshot","image_url":` + quoted + `}}]}`, needs{vision: true, input: 1010}},
		"an image in escapes":             {`{"messages":[{"\u0063ontent":[{"t\u0079pe":"image\u005furl"}]}]}`, needs{vision: true, input: 1005}},
		"an image in text":                {`{"messages":[{"content":"{\"type\":\"image_url\"}"}]}`, needs{input: 7}},
		"an image in the text of a part":  {`{"messages":[{"content":[{"type":"text","text":"\"type\":\"image_url\""}]}]}`, needs{input: 10}},
		"an image in a tool":              {`{"tools":[{"type":"image_url"}]}`, needs{tools: true, input: 4}},
		"data in text is text":            {`{"messages":[{"content":` + quoted + `}]}`, needs{input: (len("content") + len(image) + 3) / 4}},
		"an image drawn before":           {`{"input":[{"type":"image_generation_call","result":` + quoted + `}]}`, needs{input: 8}},
		"a file":                          {`{"messages":[{"content":[{"type":"file","file":{"file_data":` + quoted + `}}]}]}`, needs{input: 5}},
		"a file in a response":            {`{"input":[{"content":[{"type":"input_file","file_data":` + quoted + `}]}]}`, needs{input: 8}},
		"sound":                           {`{"messages":[{"content":[{"type":"input_audio","input_audio":{"data":` + quoted + `}}]}]}`, needs{audio: true, input: 9}},
		"an answer spoken":                {`{"modalities":["text","audio"]}`, needs{audio: true}},
		"an answer spoken, in escapes":    {`{"modalities":["\u0061udio"]}`, needs{audio: true}},
		"an answer written":               {`{"modalities":["text"]}`, needs{}},
		"a voice":                         {`{"audio":{"voice":"alloy"}}`, needs{audio: true}},
		"no voice":                        {`{"audio":null}`, needs{}},
		"a schema in a chat":              {`{"response_format":{"type":"json_schema","json_schema":{"schema":{}}}}`, needs{schema: true}},
		"any JSON":                        {`{"response_format":{"type":"json_object"}}`, needs{}},
		"a schema within another":         {`{"response_format":{"type":"text","x":{"type":"json_schema"}}}`, needs{}},
		"a schema in a response":          {`{"text":{"verbosity":"low","format":{"schema":{},"type":"json_schema"}}}`, needs{schema: true}},
		"text in a response":              {`{"text":{"type":"json_schema","format":{"type":"text"}}}`, needs{}},
		"a schema's type in place of one": {`{"response_format":"json_schema","text":{"format":"json_schema"}}`, needs{}},

		"a bound for a chat":       {`{"max_completion_tokens":100}`, needs{output: 100}},
		"a bound of old":           {`{"max_tokens":100}`, needs{output: 100}},
		"a bound for a response":   {`{"max_output_tokens":100}`, needs{output: 100}},
		"the larger of two bounds": {`{"max_tokens":100,"max_completion_tokens":7}`, needs{output: 100}},
		"a bound with a point":     {`{"max_tokens":1.5e2}`, needs{output: 150}},
		"a bound past all bounds":  {`{"max_tokens":1e999}`, needs{output: math.MaxInt32}},
		"a bound below zero":       {`{"max_tokens":-1}`, needs{}},
		"a bound that is none":     {`{"max_tokens":"100","max_completion_tokens":null,"max_output_tokens":[5]}`, needs{}},
		"nested in another member": {`{"thinking":{"max_tokens":100}}`, needs{}},

		"English":                 {`{"prompt":"The quick brown fox."}`, needs{input: 5}},
		"another script":          {`{"prompt":"所有人生来自由"}`, needs{input: 6}}, // 21 bytes
		"the same in escapes":     {`{"prompt":"\u6240\u6709\u4eba\u751f\u6765\u81ea\u7531"}`, needs{input: 6}},
		"escapes of all sizes":    {`{"prompt":"\u0061\u00e9\u20ac\ud83d\ude00\n\""}`, needs{input: 3}}, // 1+2+3+4+1+1 bytes
		"several prompts":         {`{"prompt":["The quick ","brown fox."]}`, needs{input: 5}},
		"tokens":                  {`{"prompt":[9906,11,1917]}`, needs{input: 3}},
		"several lists of tokens": {`{"input":[[9906,11],[1917,-1]]}`, needs{input: 3}},
		"instructions":            {`{"instructions":"Be brief.","input":"Go."}`, needs{input: 3}},
		"a message":               {`{"messages":[{"role":"user","content":"The quick brown fox."}]}`, needs{input: 9}},
		"space between":           {"{ \"messages\" : [ {\n\t\"role\" : \"user\" ,\n\t\"content\" : \"The quick brown fox.\"\n} ] }", needs{input: 9}},
		"messages twice":          {`{"messages":[{"role":"user","content":"a"}],"messages":[{"role":"user","content":"a"}]}`, needs{input: 8}},
		"what a model never sees": {`{"user":"someone","metadata":{"a":"b"},"stop":["x"]}`, needs{}},

		"no content":             {`{"messages":[{"content":null}]}`, needs{input: 2}},
		"strings for parts":      {`{"messages":[{"content":["a","b"]}]}`, needs{input: 3}},
		"arrays in arrays":       {`{"messages":[[[{"content":[[{"type":"image_url"}]]}]]]}`, needs{vision: true, input: 1005}},
		"messages of none":       {`{"messages":"hello","input":5,"prompt":null}`, needs{input: 2}},
		"a type that is none":    {`{"messages":[{"content":[{"type":1},{"type":null},{"type":["image_url"]}]}]}`, needs{input: 8}},
		"an object for an array": {`{"messages":{"content":{"type":"image_url"}},"modalities":{"audio":1},"response_format":[],"text":"x"}`, needs{vision: true, input: 1005}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := ScanOpenAI([]byte(test.body))
			if err != nil {
				t.Fatal(err)
			}
			if got := needsOf(r); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

// The walk into messages is bounded as any other.
func TestScanOpenAIBoundsTheNestingOfMessages(t *testing.T) {
	t.Parallel()
	for _, shape := range []struct{ open, end string }{
		{"[", "]"}, {`{"content":`, `}`}, {`{"output":`, `}`}, {`{"image_url":`, `}`},
	} {
		nested := func(n int) []byte {
			return []byte(`{"messages":` + strings.Repeat(shape.open, n-1) + "1" + strings.Repeat(shape.end, n-1) + `}`)
		}
		if _, err := ScanOpenAI(nested(MaxDepth)); err != nil {
			t.Errorf("%d of %s: %v", MaxDepth, shape.open, err)
		}
		if _, err := ScanOpenAI(nested(MaxDepth + 1)); err == nil || !strings.Contains(err.Error(), "nests deeper") {
			t.Errorf("%d of %s: got %v", MaxDepth+1, shape.open, err)
		}
		if _, err := ScanOpenAI([]byte(`{"messages":` + strings.Repeat(shape.open, 1<<20))); err == nil {
			t.Errorf("a million of %s passed", shape.open)
		}
	}
}

// A request that is cut off, or broken, anywhere is refused wherever the scan is in it.
func TestScanOpenAIChecksWhatItReadsForTheNeeds(t *testing.T) {
	t.Parallel()
	const body = `{"model":"m","messages":[{"content":[{"type":"image_url","image_url":{"url":"u"}}]}],"tools":[{}],"modalities":["audio"],` +
		`"audio":{},"response_format":{"type":"json_schema"},"text":{"format":{"type":"text"}},"max_tokens":10,"prompt":"\u00e9"}`
	for i := range len(body) {
		if _, err := ScanOpenAI([]byte(body[:i])); err == nil {
			t.Errorf("%s passed", body[:i])
		}
		broken := []byte(body)
		broken[i] = 0x01
		if _, err := ScanOpenAI(broken); err == nil {
			t.Errorf("%q passed", broken)
		}
	}
}

// reference tells the needs of a decoded request.
func reference(request map[string]any) needs {
	var n needs
	size, images := 0, 0
	for key, value := range request {
		list, _ := value.([]any)
		object, isObject := value.(map[string]any)
		switch key {
		case "messages", "input":
			size += n.part(value, &images)
		case "tools", "functions":
			size += sizeOf(value)
			n.tools = n.tools || len(list) > 0
		case "prompt", "instructions":
			size += sizeOf(value)
		case "modalities":
			n.audio = n.audio || slices.Contains(list, any("audio"))
		case "audio":
			n.audio = n.audio || isObject
		case "response_format":
			n.schema = n.schema || object["type"] == "json_schema"
		case "text":
			format, _ := object["format"].(map[string]any)
			n.schema = n.schema || format["type"] == "json_schema"
		case "max_tokens", "max_completion_tokens", "max_output_tokens":
			if number, ok := value.(json.Number); ok {
				f, _ := number.Float64()
				n.output = max(n.output, int(min(f, math.MaxInt32)))
			}
		}
	}
	n.vision = images > 0
	n.input = int(math.Ceil(float64(size)/bytesPerToken)) + images*imageTokens
	return n
}

// part returns the bytes of text in a message or part and counts its images.
func (n *needs) part(value any, images *int) (size int) {
	switch value := value.(type) {
	case []any:
		for _, v := range value {
			size += n.part(v, images)
		}
		return size
	case map[string]any:
		for key, v := range value {
			size += len(key)
			switch key {
			case "content", "output":
				size += n.part(v, images)
			case "image_url", "input_audio", "file", "file_data", "result":
			default:
				size += sizeOf(v)
			}
		}
		switch value["type"] {
		case "image_url", "input_image", "computer_screenshot":
			*images++
		case "input_audio":
			n.audio = true
		}
		return size
	default:
		return sizeOf(value)
	}
}

func sizeOf(value any) (size int) {
	switch value := value.(type) {
	case string:
		return len(value)
	case json.Number:
		return len(value)
	case []any:
		for _, v := range value {
			size += sizeOf(v)
		}
	case map[string]any:
		for key, v := range value {
			size += len(key) + sizeOf(v)
		}
	}
	return size
}

// chooser writes the JSON that its choices lead to.
type chooser struct {
	choices []byte
	out     []byte
}

// pick returns a number below n, 0 when there are no choices left.
func (w *chooser) pick(n int) int {
	if len(w.choices) == 0 {
		return 0
	}
	c := int(w.choices[0])
	w.choices = w.choices[1:]
	return c % n
}

var (
	topKeys = []string{
		"messages", "input", "prompt", "instructions", "tools", "functions", "modalities", "audio", "response_format", "text",
		"max_tokens", "max_completion_tokens", "max_output_tokens", "model", "stream", "metadata", "Messages", "", "é",
	}
	innerKeys = []string{
		"content", "output", "type", "image_url", "input_audio", "file", "file_data", "result", "role", "text", "format", "tools", "url", "naïve",
	}
	types = []string{"image_url", "input_image", "computer_screenshot", "input_audio", "json_schema", "text", "Image_url", "image_url "}
	words = []string{
		"", "image_url", "audio", "json_schema", "text", "user", `{"type":"image_url"}`,
		"所有人", "naïve", "😀", "a\tb\n\"c\\d/", "\x7f\u0080\u07ff\u0800\uffff", strings.Repeat("long ", 9),
	}
	numbers = []string{"0", "-0", "7", "256", "-3", "1.5", "2e3", "1E+400", "12345678901234567890"}
)

func (w *chooser) space() {
	w.out = append(w.out, []string{"", "", "", " ", "\n\t"}[w.pick(5)]...)
}

// text writes a string, some of its characters in escapes.
func (w *chooser) text(s string) {
	w.out = append(w.out, '"')
	for _, r := range s {
		switch {
		case r < 0x20 || r == '"' || r == '\\' || w.pick(4) == 1:
			for _, unit := range utf16.AppendRune(nil, r) {
				w.out = fmt.Appendf(w.out, []string{`\u%04x`, `\u%04X`}[w.pick(2)], unit)
			}
		case r == '/':
			w.out = append(w.out, `\/`...)
		default:
			w.out = append(w.out, string(r)...)
		}
	}
	w.out = append(w.out, '"')
}

func (w *chooser) object(keys []string, depth int) {
	w.out = append(w.out, '{')
	w.space()
	first := w.pick(len(keys))
	for i := range w.pick(5) { // no key twice
		if i > 0 {
			w.out = append(w.out, ',')
		}
		w.space()
		key := keys[(first+i*5)%len(keys)]
		w.text(key)
		w.space()
		w.out = append(w.out, ':')
		w.space()
		switch { // mostly what it is in life
		case key == "type" && w.pick(4) > 0:
			w.text(types[w.pick(len(types))])
		case (key == "response_format" || key == "format") && w.pick(4) > 0:
			w.object(innerKeys, depth+1)
		default:
			w.value(depth + 1)
		}
		w.space()
	}
	w.out = append(w.out, '}')
}

func (w *chooser) value(depth int) {
	kind := w.pick(8)
	if depth > 8 {
		kind %= 5
	}
	switch kind {
	case 0, 1:
		w.text(words[w.pick(len(words))])
	case 2:
		w.out = append(w.out, numbers[w.pick(len(numbers))]...)
	case 3:
		w.out = append(w.out, "null"...)
	case 4:
		w.out = strconv.AppendBool(w.out, w.pick(2) == 1)
	case 5:
		w.out = append(w.out, '[')
		for i := range w.pick(4) {
			if i > 0 {
				w.out = append(w.out, ',')
			}
			w.value(depth + 1)
			w.space()
		}
		w.out = append(w.out, ']')
	default:
		w.object(innerKeys, depth)
	}
}

// checkNeeds compares the scan of the document that choices lead to with the reference.
func checkNeeds(t *testing.T, choices []byte) (got needs, ok bool) {
	t.Helper()
	w := chooser{choices: choices}
	w.object(topKeys, 0)
	r, err := ScanOpenAI(w.out)
	if err != nil { // of the model or the stream, which another test checks
		if !json.Valid(w.out) {
			t.Fatalf("the generator made %s", w.out)
		}
		return got, false
	}
	dec := json.NewDecoder(bytes.NewReader(w.out))
	dec.UseNumber()
	var request map[string]any
	if err := dec.Decode(&request); err != nil {
		t.Fatalf("%s: %v", w.out, err)
	}
	got = needsOf(r)
	if want := reference(request); got != want {
		t.Fatalf("%s\ngot  %+v\nwant %+v", w.out, got, want)
	}
	return got, true
}

func TestScanOpenAITellsOfThinking(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]bool{
		`{"thinking":{"type":"enabled"},"messages":[{"role":"user","content":"\"type\":\"thinking\""}]}`: false,
		`{"messages":[{"role":"assistant","content":[{"type":"text","text":"thinking"}]}]}`:              false,
		`{"messages":[{"role":"assistant","content":[{"thinking":"","type":"thinking"}]}]}`:              true,
		`{"messages":[{"role":"assistant","content":[{"type":"t\u0068inking"}]}]}`:                       true,
	} {
		if r, err := ScanOpenAI([]byte(body)); err != nil || r.Thought != want {
			t.Errorf("%s: %v, error %v", body, r.Thought, err)
		}
	}
}
