package dialect

import "slices"

// searchedNames is up to how many names a search is quicker than a map.
const searchedNames = 16

// nameSet tells which names are in a list. A long list is not searched for each of many names.
type nameSet struct {
	list []string
	set  map[string]bool
}

func (s *nameSet) has(name string) bool {
	if len(s.list) <= searchedNames {
		return slices.Contains(s.list, name)
	}
	if s.set == nil {
		s.set = make(map[string]bool, len(s.list))
		for _, listed := range s.list {
			s.set[listed] = true
		}
	}
	return s.set[name]
}

// add adds a name and reports whether it was not there.
func (s *nameSet) add(name string) bool {
	if s.has(name) {
		return false
	}
	s.list = append(s.list, name)
	if s.set != nil {
		s.set[name] = true
	}
	return true
}
