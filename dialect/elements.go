package dialect

// Elements calls visit with the place of each element of the array with which data begins, in order. It
// returns a *SyntaxError when that is not a valid one. When visit returns false the rest is neither visited nor checked.
func Elements(data []byte, visit func(value Span) bool) error {
	s := scanner{data: data}
	if s.space(); s.peek() != '[' {
		return s.fail("it is not a JSON array")
	}
	err := s.array(func() error {
		start := s.at
		if err := s.value(); err != nil {
			return err
		}
		if !visit(Span{start, s.at}) {
			return errStop
		}
		return nil
	})
	if err == errStop {
		return nil
	}
	return err
}
