package dialect

// geminiAnswer is what is read of a GenerateContentResponse: a whole answer, or an event of a stream. It is read in
// one walk and used again for the next. The values are as they were written and alias the data.
type geminiAnswer struct {
	scanner

	candidates []geminiCandidate
	parts      []geminiPart // of all candidates
	id         []byte
	blocked    []byte // promptFeedback.blockReason
	usage      Usage
	failed     bool // it reports an error

	part *geminiPart // being read
	blob *geminiBlob

	visitRoot, visitCandidate, visitContent, visitPart, visitCall, visitBlob, visitUsage, visitFeedback func(key []byte) error

	eachCandidate, eachPart func() error
}

type geminiCandidate struct {
	index      int
	finish     []byte
	grounding  []byte // groundingMetadata
	start, end int    // its parts
}

// geminiPart is a part of a candidate. Of its values one is there.
type geminiPart struct {
	text      []byte
	thought   bool
	signature []byte

	call           bool
	id, name, args []byte

	inline geminiBlob
}

// geminiBlob is data such as an image, in base64.
type geminiBlob struct{ media, data []byte }

func newGeminiAnswer() *geminiAnswer {
	a := new(geminiAnswer)
	// They are made once, not with each object.
	a.visitRoot, a.visitCandidate, a.visitContent = a.root, a.candidate, a.content
	a.visitPart, a.visitCall, a.visitBlob = a.partMember, a.call, a.blobMember
	a.visitUsage, a.visitFeedback = a.usageMember, a.feedback
	a.eachCandidate, a.eachPart = a.oneCandidate, a.onePart
	return a
}

// read reads data. The error is a *SyntaxError if that is no object, or one with other types than Gemini's.
func (a *geminiAnswer) read(data []byte) error {
	a.scanner = scanner{data: data}
	a.candidates, a.parts = a.candidates[:0], a.parts[:0]
	a.id, a.blocked, a.failed = nil, nil, false
	return a.document(a.visitRoot)
}

// next reads a value.
func (a *geminiAnswer) next() ([]byte, error) {
	start := a.at
	err := a.value()
	return a.data[start:a.at], err
}

// inside reads an object with visit. What is none is passed over, null most of all.
func (a *geminiAnswer) inside(visit func(key []byte) error) error {
	if a.peek() == '{' {
		return a.object(visit)
	}
	return a.value()
}

// elements reads an array, in the same way.
func (a *geminiAnswer) elements(visit func() error) error {
	if a.peek() == '[' {
		return a.array(visit)
	}
	return a.value()
}

// quoted reads a string into v, null as none.
func (a *geminiAnswer) quoted(v *[]byte) error {
	value, err := a.next()
	switch {
	case err != nil:
		return err
	case isNull(value):
		return nil
	case value[0] != '"':
		return a.fail("expected a string")
	}
	*v = value
	return nil
}

func (a *geminiAnswer) root(key []byte) error {
	switch string(unquoted(key)) {
	case "candidates":
		return a.elements(a.eachCandidate)
	case "usageMetadata":
		return a.readUsage()
	case "responseId":
		return a.quoted(&a.id)
	case "promptFeedback":
		return a.inside(a.visitFeedback)
	case "error":
		value, err := a.next()
		a.failed = a.failed || !isNull(value)
		return err
	}
	return a.value()
}

func (a *geminiAnswer) feedback(key []byte) error {
	if string(unquoted(key)) == "blockReason" {
		return a.quoted(&a.blocked)
	}
	return a.value()
}

func (a *geminiAnswer) oneCandidate() error {
	a.candidates = append(a.candidates, geminiCandidate{start: len(a.parts), end: len(a.parts)})
	if err := a.inside(a.visitCandidate); err != nil {
		return err
	}
	a.candidates[len(a.candidates)-1].end = len(a.parts)
	return nil
}

func (a *geminiAnswer) candidate(key []byte) error {
	c := &a.candidates[len(a.candidates)-1]
	switch string(unquoted(key)) {
	case "content":
		return a.inside(a.visitContent)
	case "finishReason":
		return a.quoted(&c.finish)
	case "groundingMetadata":
		value, err := a.next()
		c.grounding = value
		return err
	case "index":
		n, err := a.number64()
		c.index = int(n)
		return err
	}
	return a.value()
}

func (a *geminiAnswer) content(key []byte) error {
	if string(unquoted(key)) == "parts" {
		return a.elements(a.eachPart)
	}
	return a.value()
}

func (a *geminiAnswer) onePart() error {
	a.parts = append(a.parts, geminiPart{})
	a.part = &a.parts[len(a.parts)-1]
	return a.inside(a.visitPart)
}

func (a *geminiAnswer) partMember(key []byte) error {
	switch string(unquoted(key)) {
	case "text":
		return a.quoted(&a.part.text)
	case "thought":
		value, err := a.next()
		a.part.thought = string(value) == "true"
		return err
	case "thoughtSignature":
		return a.quoted(&a.part.signature)
	case "functionCall":
		a.part.call = a.peek() == '{'
		return a.inside(a.visitCall)
	case "inlineData":
		a.blob = &a.part.inline
		return a.inside(a.visitBlob)
	}
	return a.value()
}

func (a *geminiAnswer) call(key []byte) error {
	switch string(unquoted(key)) {
	case "id":
		return a.quoted(&a.part.id)
	case "name":
		return a.quoted(&a.part.name)
	case "args":
		value, err := a.next()
		switch {
		case err != nil:
			return err
		case isNull(value):
			return nil
		case value[0] != '{':
			return a.fail("expected an object")
		}
		a.part.args = value
		return nil
	}
	return a.value()
}

func (a *geminiAnswer) blobMember(key []byte) error {
	switch string(unquoted(key)) {
	case "mimeType":
		return a.quoted(&a.blob.media)
	case "data":
		return a.quoted(&a.blob.data)
	}
	return a.value()
}

// number64 reads a whole number, which protocol buffers may write as a string. It is 0 if it is none, and never
// negative.
func (a *geminiAnswer) number64() (int64, error) {
	value, err := a.next()
	if err != nil {
		return 0, err
	}
	return count(value), nil
}

// readUsage reads a usageMetadata, whose counts are those of the answer so far. One may leave out what an earlier one
// has said.
func (a *geminiAnswer) readUsage() error {
	before := a.usage
	a.usage = Usage{}
	err := a.inside(a.visitUsage)
	before.Merge(a.usage)
	a.usage = before
	return err
}

// usageMember counts as OpenAI does: promptTokenCount has what was cached in it, but not what tools of Google's have
// read, and candidatesTokenCount leaves out the thoughts.
func (a *geminiAnswer) usageMember(key []byte) error {
	u := &a.usage
	switch string(unquoted(key)) {
	case "promptTokenCount", "toolUsePromptTokenCount":
		n, err := a.number64()
		u.Input += n
		return err
	case "cachedContentTokenCount":
		n, err := a.number64()
		u.CachedInput = n
		return err
	case "candidatesTokenCount":
		n, err := a.number64()
		u.Output += n
		return err
	case "thoughtsTokenCount":
		n, err := a.number64()
		u.Output += n
		u.Reasoning = n
		return err
	}
	return a.value()
}
