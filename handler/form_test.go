package handler

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/runestone-gateway/runestone/dialect"
	"github.com/runestone-gateway/runestone/provider"
)

// form writes a form the way the parts stand here: of each the line ends are
// CRLF but for those of its content, which is what follows the first empty line.
func form(boundary string, parts ...string) string {
	var b strings.Builder
	for _, part := range parts {
		headers, content, _ := strings.Cut(part, "\n\n")
		b.WriteString("--" + boundary + "\r\n" + strings.ReplaceAll(headers, "\n", "\r\n") + "\r\n\r\n" + content + "\r\n")
	}
	return b.String() + "--" + boundary + "--\r\n"
}

const modelPart = "Content-Disposition: form-data; name=\"model\"\n\nwhisper-1"

func filePart(content string) string {
	return "Content-Disposition: form-data; name=\"file\"; filename=\"a.mp3\"\nContent-Type: audio/mpeg\n\n" + content
}

func TestFormModel(t *testing.T) {
	t.Parallel()
	const text = "Content-Disposition: form-data; name=\"text\"\n\n"
	for name, test := range map[string]struct {
		boundary string // default "b"
		head     string
		want     string
		none     bool
	}{
		"the only field":       {head: form("b", modelPart), want: "whisper-1"},
		"the first":            {head: form("b", modelPart, filePart("data")), want: "whisper-1"},
		"after a small file":   {head: form("b", filePart("data"), modelPart), want: "whisper-1"},
		"after an empty field": {head: form("b", text, modelPart), want: "whisper-1"},
		"before a file that is cut off": {
			head: strings.TrimSuffix(form("b", modelPart, filePart(strings.Repeat("x", 5000))), "x\r\n--b--\r\n"), want: "whisper-1",
		},
		"after a file that is cut off": {head: form("b", filePart(strings.Repeat("x", 5000)), modelPart)[:4000], none: true},
		"in a form of nothing":         {head: "--b--\r\n", none: true},
		"in nothing":                   {head: "", none: true},
		"in a form without it":         {head: form("b", text+"a", filePart("data")), none: true},
		"under another boundary":       {head: form("c", modelPart), none: true},
		"not whole":                    {head: "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper-1", none: true},
		"not whole by a byte":          {head: "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n--", none: true},
		"lines that end in LF only":    {head: strings.ReplaceAll(form("b", modelPart), "\r\n", "\n"), none: true},

		"a line end first":          {head: "\r\n" + form("b", modelPart), want: "whisper-1"},
		"blanks after boundary":     {head: strings.Replace(form("b", modelPart), "--b\r\n", "--b \t\r\n", 1), want: "whisper-1"},
		"a longest boundary":        {boundary: strings.Repeat("-", 68) + "9z", head: form(strings.Repeat("-", 68)+"9z", filePart("--"), modelPart), want: "whisper-1"},
		"a boundary of symbols":     {boundary: "'()+_,-./:=?", head: form("'()+_,-./:=?", modelPart), want: "whisper-1"},
		"boundary without CRLF":     {head: form("b", filePart("x--b y"), modelPart), want: "whisper-1"},
		"half of the boundary":      {boundary: "bcd", head: form("bcd", filePart("\r\n--bc\r\n--b\r\n--"), modelPart), want: "whisper-1"},
		"a value with CRLF":         {head: form("b", "Content-Disposition: form-data; name=\"model\"\n\na\r\n\r\nb"), want: "a\r\n\r\nb"},
		"an empty value":            {head: form("b", "Content-Disposition: form-data; name=\"model\"\n\n"), want: ""},
		"two of it, the first":      {head: form("b", modelPart, "Content-Disposition: form-data; name=\"model\"\n\nother"), want: "whisper-1"},
		"a field that speaks of it": {head: form("b", text+"Content-Disposition: form-data; name=\"model\"\r\n\r\nother", modelPart), want: "whisper-1"},

		"a bare name":            {head: form("b", "Content-Disposition: form-data; name=model\n\nm"), want: "m"},
		"a name with quotes":     {head: form("b", `Content-Disposition: form-data; name="\"model\""`+"\n\nm"), none: true},
		"an encoded name":        {head: form("b", "Content-Disposition: form-data; name*=UTF-8''mod%65l\n\nm"), want: "m"},
		"headers in small":       {head: form("b", "content-type: text/plain\ncontent-disposition: FORM-DATA; NAME=\"model\"\n\nm"), want: "m"},
		"a folded header":        {head: form("b", "Content-Disposition: form-data;\n name=\"model\"\n\nm"), want: "m"},
		"a name in capitals":     {head: form("b", "Content-Disposition: form-data; name=\"Model\"\n\nm"), none: true},
		"a longer name":          {head: form("b", "Content-Disposition: form-data; name=\"models\"\n\nm"), none: true},
		"a name with brackets":   {head: form("b", "Content-Disposition: form-data; name=\"model[]\"\n\nm"), none: true},
		"a file of that name":    {head: form("b", "Content-Disposition: form-data; name=\"file\"; filename=\"model\"\n\nm"), none: true},
		"a file in that field":   {head: form("b", "Content-Disposition: form-data; name=\"model\"; filename=\"m.txt\"\n\nm"), none: true},
		"one by an encoded name": {head: form("b", "Content-Disposition: form-data; name=\"model\"; filename*=UTF-8''m.txt\n\nm"), none: true},
		"a file without a name":  {head: form("b", "Content-Disposition: form-data; name=\"model\"; filename=\"\"\n\nm"), want: "m"},
		"no headers":             {head: form("b", "\n\nm"), none: true},
		"no such header":         {head: form("b", "Content-Type: text/plain; name=\"model\"\n\nm"), none: true},
		"a header that is none":  {head: form("b", "name=\"model\"\n\nm"), none: true},
		"a name given twice":     {head: form("b", "Content-Disposition: form-data; name=\"model\"; name=\"x\"\n\nm"), none: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if test.boundary == "" {
				test.boundary = "b"
			}
			span := formModel([]byte(test.head), test.boundary)
			if span.IsZero() != test.none {
				t.Fatalf("found at %v, want none: %t", span, test.none)
			}
			if got := test.head[span.Start:span.End]; got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// formModel looks at head as if it were a whole form.
func formModel(head []byte, boundary string) provider.Span {
	f := newFormScanner(boundary)
	f.look(head, true)
	return f.model
}

// standardModel returns what mime/multipart takes for the value of the field model,
// and whether there is one. It fails where the form is not one, or not whole.
func standardModel(form []byte, boundary string) (value string, found bool, err error) {
	reader := multipart.NewReader(bytes.NewReader(form), boundary)
	for {
		part, err := reader.NextRawPart()
		if errors.Is(err, io.EOF) {
			return value, found, nil
		} else if err != nil {
			return "", false, err
		}
		content, err := io.ReadAll(part)
		if err != nil {
			return "", false, err
		}
		if part.FormName() == "model" && part.FileName() == "" && !found {
			value, found = string(content), true
		}
	}
}

// checkForm compares what is found in a whole form, and in beginnings of it.
func checkForm(t *testing.T, whole []byte, boundary string) {
	t.Helper()
	want, found, err := standardModel(whole, boundary)
	if err != nil {
		t.Fatalf("%q: %v", whole, err)
	}
	span := formModel(whole, boundary)
	if got := string(whole[span.Start:span.End]); !span.IsZero() != found || got != want {
		t.Fatalf("%q: got %q, want %q (%t)", whole, got, want, found)
	}
	pieces := newFormScanner(boundary)
	for i := 0; i < len(whole); i += 1 + len(whole)/200 {
		if part := formModel(whole[:i], boundary); !part.IsZero() && part != span {
			t.Fatalf("%q: found at %v, and in the whole at %v", whole[:i], part, span)
		}
		pieces.look(whole[:i], false)
	}
	if pieces.look(whole, true); pieces.model != span {
		t.Fatalf("%q: found at %v when looking again and again, and in the whole at %v", whole, pieces.model, span)
	}
}

// FuzzFormModel has mime/multipart write forms and read them again.
func FuzzFormModel(f *testing.F) {
	f.Add("b", "file", "a.mp3", "data", "model", "whisper-1")
	f.Add("b", "model", "", "one", "model", "two")
	f.Add("x-y", "text", "", "\r\n--x-y", "model", "\r\n--x")
	f.Add("'()+_,-./:=?", "model", "model", "", "mo\"del", "\r\n\r\n")
	f.Add("b", "", "", "\r\n\r\n", "model", "--b")
	f.Fuzz(func(t *testing.T, boundary, name, file, first, field, second string) {
		var body bytes.Buffer
		w := multipart.NewWriter(&body)
		if w.SetBoundary(boundary) != nil || strings.TrimSpace(boundary) != boundary {
			return // no boundary
		}
		if strings.Contains("\r\n"+first+"\r\n"+second, "\n--"+boundary) {
			return // whoever writes a form must choose another
		}
		part := func(name, file, content string) {
			header := textproto.MIMEHeader{"Content-Disposition": {multipart.FileContentDisposition(name, file)}}
			if file == "" {
				header.Set("Content-Disposition", strings.TrimSuffix(multipart.FileContentDisposition(name, ""), `; filename=""`))
			}
			p, err := w.CreatePart(header)
			if err == nil {
				_, err = io.WriteString(p, content)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		part(name, file, first)
		part(field, "", second)
		part("model", "", "last")
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if _, _, err := standardModel(body.Bytes(), boundary); err != nil {
			return // a name that cannot be in a header
		}
		checkForm(t, body.Bytes(), boundary)
	})
}

// FuzzFormModelOfAnything gives it what nobody would call a form, too.
func FuzzFormModelOfAnything(f *testing.F) {
	f.Add([]byte(form("b", modelPart)), "b")
	f.Add([]byte(form("b", filePart("data"), modelPart)), "b")
	f.Add([]byte("--b\r\n\r\n\r\n--b\r\n--b--"), "b")
	f.Add([]byte("\r\n--\r\n--\r\nContent-Disposition: ;name=model\r\n\r\n\r\n--"), "")
	f.Add([]byte(form("b", filePart("\r\n--bX: y\r\n--b-\r\n--b "), modelPart)), "b")
	f.Add([]byte("x\r\n"+form("b", modelPart)+"\r\n--b\r\n"+form("b", modelPart)), "b")
	f.Add([]byte("--b\nContent-Disposition: form-data; name=\"model\"\n\nx\n--b--\r\n"), "b")
	f.Add([]byte("--b \r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n--b\t\r\n\r\n\r\n--b--"), "b")
	f.Fuzz(func(t *testing.T, head []byte, boundary string) {
		span := formModel(head, boundary)
		if span.IsZero() {
			return
		}
		if span.Start < 4 || span.End < span.Start || span.End > len(head) ||
			!bytes.HasPrefix(head[span.End:], []byte("\r\n--"+boundary)) || !bytes.HasSuffix(head[:span.Start], []byte("\r\n\r\n")) {
			t.Fatalf("%q: found at %v", head, span)
		}
		if want, found, err := standardModel(head, boundary); err == nil && (!found || want != string(head[span.Start:span.End])) {
			t.Fatalf("%q: got %q, want %q (%t)", head, head[span.Start:span.End], want, found)
		}
	})
}

// What is found must be what the provider finds, or somebody may ask for one model
// and get another. To find none is safe: the upload then goes where those without a model go.
func TestFormModelIsNotTricked(t *testing.T) {
	t.Parallel()
	const cheap = "Content-Disposition: form-data; name=\"model\"\r\n\r\ncheap"
	const text = "Content-Disposition: form-data; name=\"text\"\n\n"
	for name, whole := range map[string]string{
		"a longer boundary in a field":   form("b", text+"x\r\n--bX: y\r\n"+cheap+"\r\n--b;", modelPart),
		"a longer boundary in the model": form("b", "Content-Disposition: form-data; name=\"model\"\n\nm\r\n--bx"),
		"a longer boundary first":        "--bX: y\r\n" + cheap + "\r\n" + form("b", modelPart),
		"dashes after the boundary":      form("b", text+"x\r\n--b-\r\n"+cheap+"\r\n--b-", modelPart),
		"an end that is none":            form("b", text+"x\r\n--b--y\r\n"+cheap, modelPart),
		"an epilogue":                    form("b", text+"x") + "\r\n--b\r\n" + cheap + "\r\n--b--\r\n",
		"a preamble":                     "--b--\n--b\r\n" + cheap + "\r\n" + form("b", modelPart),
		"headers that end in LF":         "--b\r\nContent-Disposition: form-data; name=\"text\"\nX: y\r\n\r\nx\r\n" + form("b", modelPart),
		"content after LF LF":            "--b\r\nContent-Disposition: form-data; name=\"model\"\n\nfoo: bar\r\n\r\ncheap\r\n--b--\r\n",
		"a first header that is folded":  "--b\r\n " + cheap + "\r\n" + form("b", modelPart),
		"no line end before the end":     "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n--b\r\n" + cheap + "\r\n--b--\r\n",
		"LF around CRLF":                 "--b\nContent-Disposition: form-data; name=\"text\"\n\n\r\n--b\r\n" + cheap + "\r\n--b\n--b--\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want, found, err := standardModel([]byte(whole), "b")
			span := formModel([]byte(whole), "b")
			if got := whole[span.Start:span.End]; !span.IsZero() && (err != nil || !found || got != want) {
				t.Errorf("got %q, want %q (%v)", got, want, err)
			}
		})
	}
}

const peekLimit = 200 << 10

// peek has an exchange look for the model in a form.
func peek(path string, body io.Reader, length int64) (*exchange, *dialect.Error) {
	x := &exchange{r: &http.Request{URL: &url.URL{Path: path}, Body: io.NopCloser(body)}}
	x.req.Upload, x.req.UploadLength = x.r.Body, length
	return x, x.peekForm("b", peekLimit)
}

const transcriptions = "/v1/audio/transcriptions"

func TestPeekFormKeepsWhatItHasRead(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ path, body, model string }{
		"model first":                     {transcriptions, form("b", modelPart, filePart(strings.Repeat("x", 2*peekLimit))), "whisper-1"},
		"after a small file":              {transcriptions, form("b", filePart("data"), modelPart), "whisper-1"},
		"after a large file":              {transcriptions, form("b", filePart(strings.Repeat("\r\n--x", peekLimit/6)), modelPart), "whisper-1"},
		"other form, a file within reach": {"/v1/files", form("b", filePart(strings.Repeat("x", formPeek/2)), modelPart), "whisper-1"},
		"other form, a file out of reach": {"/v1/files", form("b", filePart(strings.Repeat("x", formPeek)), modelPart), ""},
		"no model":                        {transcriptions, form("b", filePart("data")), ""},
		"an empty model":                  {transcriptions, form("b", "Content-Disposition: form-data; name=\"model\"\n\n"), ""},
		"no form":                         {transcriptions, "{}", ""},
		"no form, and long":               {transcriptions, strings.Repeat("x", 2*peekLimit), ""},
		"nothing":                         {transcriptions, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for kind, wrap := range map[string]func(io.Reader) io.Reader{
				"plain":         func(r io.Reader) io.Reader { return r },
				"byte by byte":  iotest.OneByteReader,
				"end with data": iotest.DataErrReader,
			} {
				x, told := peek(test.path, wrap(strings.NewReader(test.body)), int64(len(test.body)))
				if told != nil {
					t.Fatalf("%s: %v", kind, told)
				}
				if x.req.Model != test.model {
					t.Errorf("%s: got model %q, want %q", kind, x.req.Model, test.model)
				}
				if got := string(x.req.Body.Bytes()[x.req.ModelSpan.Start:x.req.ModelSpan.End]); got != test.model {
					t.Errorf("%s: the span has %q", kind, got)
				}
				upload, length := provider.NewUpload(&x.req, provider.Target{})
				got, err := io.ReadAll(upload)
				if err != nil || string(got) != test.body || length != int64(len(test.body)) {
					t.Errorf("%s: %d bytes of %d are left, with length %d: %v", kind, len(got), len(test.body), length, err)
				}
				_ = upload.Close()
				x.req.Body.Release()
			}
		})
	}
}

func TestPeekFormOfUnknownLength(t *testing.T) {
	t.Parallel()
	x, told := peek(transcriptions, strings.NewReader(form("b", modelPart)), -1)
	if told != nil || x.req.Model != "whisper-1" || x.req.UploadLength != -1 {
		t.Errorf("got %q of %d bytes and %v", x.req.Model, x.req.UploadLength, told)
	}
}

func TestPeekFormRefuses(t *testing.T) {
	t.Parallel()
	long := form("b", "Content-Disposition: form-data; name=\"model\"\n\n"+strings.Repeat("m", dialect.MaxModelName+1))
	for name, test := range map[string]struct {
		body io.Reader
		code string
	}{
		"a body that breaks off":  {io.MultiReader(strings.NewReader("--b\r\n"), iotest.ErrReader(io.ErrUnexpectedEOF)), "incomplete_body"},
		"a body that is too big":  {iotest.ErrReader(fmt.Errorf("reading: %w", &http.MaxBytesError{Limit: 7})), "request_too_large"},
		"a name that is no text":  {strings.NewReader(form("b", "Content-Disposition: form-data; name=\"model\"\n\nm\xff")), "invalid_value"},
		"a name that is too long": {strings.NewReader(long), "invalid_value"},
		"a model out of reach":    {strings.NewReader(form("b", filePart(strings.Repeat("x", 2*peekLimit)), modelPart)), "request_too_large"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x, told := peek(transcriptions, test.body, -1)
			if told == nil || told.Code != test.code {
				t.Errorf("got %v, want %s", told, test.code)
			}
			if x.req.Body != nil {
				x.req.Body.Release()
			}
		})
	}
}
