package dialect

// chatPiece is a part of content that is an array.
type chatPiece struct{ text, thinking []byte }

// parts reads content that is an array.
func (w *chatWalk) parts() error {
	w.said, w.thought = joined{}, joined{}
	err := w.array(w.eachPart)
	d := &w.choice.Delta
	d.Content, d.ContentJSON = w.said.String(), nil
	if d.Reasoning == "" {
		d.Reasoning = w.thought.String()
	}
	return err
}

// onePart reads a part of it.
func (w *chatWalk) onePart() error {
	w.part = chatPiece{}
	err := w.object(w.visitPart)
	w.said.add(string(unquoted(w.part.text)))
	w.thought.add(string(unquoted(w.part.thinking)))
	return err
}

func (w *chatWalk) partMember(key []byte) (err error) {
	switch string(unquoted(key)) {
	case "text":
		w.part.text, err = w.quoted()
		return err
	case "thinking":
		if w.peek() == '[' {
			return w.array(w.eachThought)
		}
		w.part.thinking, err = w.quoted()
		return err
	}
	return w.value()
}

// oneThought reads an element of thinking that is an array.
func (w *chatWalk) oneThought() error {
	outer := w.part
	w.part = chatPiece{}
	err := w.object(w.visitPart)
	w.thought.add(string(unquoted(w.part.text)))
	w.part = outer
	return err
}
