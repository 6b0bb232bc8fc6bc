package dialect

// joined is a text that comes in pieces, of which there is mostly one: that is not copied.
type joined struct {
	one string
	all []byte
}

func (p *joined) add(text string) {
	switch {
	case p.all != nil:
		p.all = append(p.all, text...)
	case p.one == "":
		p.one = text
	case text != "":
		p.all = append(append(make([]byte, 0, 2*(len(p.one)+len(text))), p.one...), text...)
	}
}

func (p *joined) empty() bool { return p.one == "" }

func (p *joined) String() string {
	if p.all != nil {
		return string(p.all)
	}
	return p.one
}
