package gateway

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/runestone-gateway/runestone/dialect"
	"github.com/runestone-gateway/runestone/provider"
	"github.com/runestone-gateway/runestone/sse"
)

// speaks returns the call with which a provider serves a client's, "" if it does not.
func (u *upstream) speaks(api dialect.API, model string) dialect.API {
	to := api
	if u.speaker != nil {
		to = u.speaker.Speaks(api, model)
	} else if api == dialect.Messages {
		to = dialect.Chat
	} else if api == dialect.CountTokens {
		to = ""
	}
	if to != api && to != "" && !dialect.Translates(api, to) {
		return ""
	}
	return to
}

// serves reports whether a target serves a client's call, in whatever dialect.
func (t *target) serves(r *provider.Request) bool {
	model := t.Model
	if model == "" {
		model = r.Model
	}
	return t.up.speaks(r.API, model) != ""
}

// CountsTokens reports whether a target of the model that is asked counts tokens itself.
func (a *App) CountsTokens(r *provider.Request) (bool, *dialect.Error) {
	route, told := a.resolve(r)
	if told != nil {
		return false, told
	}
	for _, t := range route.targets {
		if t.serves(r) {
			return true, nil
		}
	}
	return false, nil
}

// translate puts the request into the provider's dialect, if that is another than the client's.
func (t *attempt) translate() error {
	up, r := t.target.up, t.r
	model := t.target.Model
	if model == "" {
		model = r.Model
	}
	to := up.speaks(r.API, model)
	if to == r.API || r.Body == nil {
		return nil
	}
	target := dialect.Target{Model: model, Shown: t.shown(model)}
	if known, ok := up.catalog(model); ok {
		target.MaxOutput = known.MaxOutput
	}
	if quirker, ok := up.provider.(provider.Quirker); ok {
		target.Quirks = quirker.Quirks()
	}
	translation, err := dialect.Translate(r.API, to, r.Body.Bytes(), &target)
	if err != nil {
		return err
	}
	translated := *r
	translated.API, translated.Path, translated.RawPath, translated.Query = to, to.Path(), "", ""
	translated.Body = provider.NewBody(translation.Body, dialect.Recycle)
	translated.ModelSpan, translated.AskUsage = translation.ModelSpan, provider.Edit{}
	translated.Model, translated.Stream = model, translation.Stream
	translated.Thought = false // what is foreign to the model is not translated
	translated.Header = withBetas(r.Header, translation.Betas)
	t.r, t.translation = &translated, translation
	return nil
}

// withBetas returns the client's header with features of Anthropic's API that the request needs, besides those that the client
// asks for.
func withBetas(header http.Header, betas []string) http.Header {
	if len(betas) == 0 {
		return header
	}
	const name = "Anthropic-Beta"
	all := strings.Join(header[name], ",")
	for _, beta := range betas {
		if slices.ContainsFunc(strings.Split(all, ","), func(s string) bool { return strings.TrimSpace(s) == beta }) {
			continue
		}
		if all != "" {
			all += ","
		}
		all += beta
	}
	own := make(http.Header, len(header)+1) // the client's is other attempts' as well
	maps.Copy(own, header)
	own[name] = []string{all}
	return own
}

// shown returns the name that answers show for a provider's model.
func (t *attempt) shown(model string) string {
	if name := t.rename(); name != "" {
		return name
	}
	return model
}

// translated chooses how an answer in another dialect is read.
func (t *attempt) translated(resp *http.Response, media string) (source, error) {
	header := resp.Header
	for name := range header { // what describes the body, or is in the other dialect's terms
		if strings.HasPrefix(name, "Anthropic-") || strings.HasPrefix(name, "X-Goog-") {
			delete(header, name)
		}
	}
	delete(header, "Content-Encoding")
	if t.api.Anthropic() {
		delete(header, "Request-Id") // the gateway's own is there
	}
	if len(t.translation.Adjusted) > 0 {
		header["Runestone-Adjusted"] = []string{headerText(strings.Join(t.translation.Adjusted, ", "))}
	}
	switch {
	case resp.StatusCode >= http.StatusMultipleChoices:
		return t.translatedError(resp)
	case media == "text/event-stream":
		s := newTranslatedStream(t, resp.Body)
		if err := s.peek(); err != nil {
			s.release()
			return nil, err
		}
		header["Content-Type"] = []string{"text/event-stream"}
		resp.ContentLength = -1
		return s, nil
	default:
		return t.translatedWhole(resp)
	}
}

// translatedWhole translates an answer that comes in one piece.
func (t *attempt) translatedWhole(resp *http.Response) (source, error) {
	buf, err := t.readWhole(resp, maxWhole)
	if err != nil {
		return nil, err
	}
	out := NewBuffer(int64(len(buf.B)) + 512)
	text, err := t.translation.Answers.Whole(out.B, buf.B)
	buf.Free()
	if err != nil {
		out.Free()
		if _, ok := errors.AsType[*dialect.Error](err); ok {
			return nil, t.call.reported(err)
		}
		return nil, &dialect.Error{
			Status: http.StatusBadGateway, Type: "server_error", Code: "provider_error",
			Message: "The answer of the provider " + t.target.Provider + " could not be read.",
		}
	}
	out.B = text
	t.call.usage = t.translation.Answers.Usage()
	resp.Header["Content-Type"] = []string{"application/json"}
	resp.ContentLength = int64(len(text))
	return &wholeAnswer{buf: out, text: text, body: resp.Body}, nil
}

// understand reads an error in another dialect for what the status and the headers of others say: Google tells in the
// body how long to wait, and that a key is wrong. The body can be read once more.
func (t *attempt) understand(resp *http.Response) error {
	if t.translation == nil || resp.StatusCode < http.StatusBadRequest {
		return nil
	}
	buf, err := t.readWhole(resp, maxErrorBody)
	if err != nil {
		return err
	}
	text := bytes.Clone(buf.B)
	buf.Free()
	told := dialect.UpstreamError(resp.StatusCode, text)
	if resp.StatusCode == http.StatusBadRequest && told.Code == "invalid_api_key" {
		resp.StatusCode = http.StatusUnauthorized
	}
	if told.RetryAfter > 0 && len(resp.Header["Retry-After"]) == 0 {
		seconds := (told.RetryAfter + time.Second - 1) / time.Second
		resp.Header["Retry-After"] = []string{strconv.Itoa(int(seconds))}
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{bytes.NewReader(text), resp.Body}
	resp.ContentLength = int64(len(text))
	return nil
}

// translatedError puts the error of a provider into the client's dialect.
func (t *attempt) translatedError(resp *http.Response) (source, error) {
	buf, err := t.readWhole(resp, maxErrorBody)
	if err != nil {
		return nil, err
	}
	told := t.translation.UpstreamError(resp.StatusCode, buf.B)
	if t.api.Anthropic() && resp.StatusCode == statusOverloaded {
		told.Status = statusOverloaded
	}
	buf.B = told.Append(buf.B[:0], t.api, t.requestID())
	resp.StatusCode, t.call.status = told.Status, resp.StatusCode
	resp.Header["Content-Type"] = []string{"application/json"}
	resp.ContentLength = int64(len(buf.B))
	return &wholeAnswer{buf: buf, text: buf.B, body: resp.Body}, nil
}

// requestID returns the ID that the client sees, "" if there is none.
func (t *attempt) requestID() string {
	if ids := t.r.Header["X-Request-Id"]; len(ids) > 0 {
		return ids[0]
	}
	return ""
}

// maxErrorBody bounds what is read of a provider's error, in bytes.
const maxErrorBody = 1 << 20

// readWhole reads an answer to its end, which must come within a limit.
func (t *attempt) readWhole(resp *http.Response, limit int) (*Buffer, error) {
	buf, all, err := t.collect(resp, limit)
	if err != nil {
		return nil, err
	}
	if !all || len(buf.B) > limit {
		buf.Free()
		return nil, &dialect.Error{
			Status: http.StatusBadGateway, Type: "server_error", Code: "provider_error",
			Message: "The answer of the provider " + t.target.Provider + " is larger than " + strconv.Itoa(limit) + " bytes.",
		}
	}
	return buf, nil
}

// translatedStream is a streamed answer in another dialect.
type translatedStream struct {
	call    *call
	body    io.Closer
	reader  *sse.Reader
	answers dialect.Answers
	api     dialect.API // the client's
	id      string      // of the request

	out    []byte // what has been translated; reused
	held   bool   // out was translated by peek and has not been returned
	first  bool   // an event with data has been seen
	failed bool   // the provider has reported an error
	err    error
}

func newTranslatedStream(t *attempt, body io.ReadCloser) *translatedStream {
	return &translatedStream{
		call: t.call, body: body, reader: sse.NewReader(body), answers: t.translation.Answers, api: t.api,
		id: t.requestID(),
	}
}

// peek waits for the first event with data, as [eventStream.peek] does.
func (s *translatedStream) peek() error {
	for !s.first {
		blocks, err := s.reader.Next()
		if err == io.EOF {
			err = errTruncated
		}
		if err != nil {
			return err
		}
		if err := s.translate(blocks); err != nil {
			if len(s.out) == 0 {
				return s.call.reported(err)
			}
			s.report(err)
		}
	}
	s.held = true
	s.call.streams()
	return nil
}

// translate appends what blocks say to out.
func (s *translatedStream) translate(blocks []byte) error {
	for len(blocks) > 0 {
		n := sse.End(blocks)
		if n == 0 { // the stream ended without its last blank line
			n = len(blocks)
		}
		e := sse.Parse(blocks[:n])
		blocks = blocks[n:]
		if !e.HasData {
			continue
		}
		s.first = true
		s.call.events++
		var err error
		if s.out, err = s.answers.Event(s.out, e); err != nil {
			return err
		}
	}
	return nil
}

// report has the stream end with an error of the provider's.
func (s *translatedStream) report(err error) {
	told, ok := errors.AsType[*dialect.Error](s.call.reported(err))
	if !ok {
		told = &dialect.Error{
			Status: http.StatusBadGateway, Type: "server_error", Code: "provider_error",
			Message: "The answer of the provider " + s.call.up.name + " could not be read.",
		}
	}
	told.Sequence = s.answers.Sequence()
	s.out = told.AppendEvent(s.out, s.api, s.id)
	s.failed = true
	s.err = io.EOF // the client has been told
}

// next implements source.
func (s *translatedStream) next() ([]byte, error) {
	if s.held {
		s.held = false
		if len(s.out) > 0 {
			return s.out, nil
		}
	}
	for s.err == nil {
		s.out = s.out[:0]
		blocks, err := s.reader.Next()
		if err != nil {
			s.finish(err)
		} else {
			s.call.progress()
			if err := s.translate(blocks); err != nil {
				s.report(err)
			}
			s.call.usage = s.answers.Usage()
		}
		if len(s.out) > 0 {
			return s.out, nil
		}
	}
	return nil, s.err
}

// finish says how the stream ended.
func (s *translatedStream) finish(err error) {
	if err != io.EOF && !s.answers.Done() {
		s.err = err
		return
	}
	// What comes after the end, a reset included, is nobody's loss.
	var broken error
	s.out, broken = s.answers.End(s.out)
	s.call.usage = s.answers.Usage()
	s.err = io.EOF
	if errors.Is(broken, io.ErrUnexpectedEOF) {
		s.err = errTruncated
	} else if broken != nil {
		s.report(broken)
	}
}

func (s *translatedStream) reportedError() bool { return s.failed }

// sequence implements sequenced.
func (s *translatedStream) sequence() int64 { return s.answers.Sequence() }

func (s *translatedStream) release() {
	_ = s.body.Close()
	s.reader.Release()
}
