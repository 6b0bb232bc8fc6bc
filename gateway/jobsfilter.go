package gateway

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/runestone-gateway/runestone/overflow"
)

// parseFilter reads a query: kind, state (several, repeated or separated by commas),
// owner, model, before and limit. Its errors say what to write.
func parseFilter(query string) (overflow.Filter, error) {
	filter := overflow.Filter{Limit: DefaultPageSize}
	values, err := url.ParseQuery(query)
	if err != nil {
		return filter, fmt.Errorf("the query cannot be read: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if len(values[name]) > 1 && name != "state" {
			return filter, fmt.Errorf("%s is given %d times; give it once", name, len(values[name]))
		}
		value := values[name][0]
		if value == "" {
			return filter, fmt.Errorf("%s is empty; leave it out for any", name)
		}
		switch name {
		case "kind":
			if filter.Kind = overflow.Kind(value); !slices.Contains(overflow.Kinds[:], filter.Kind) {
				return filter, fmt.Errorf("kind is %q; give %s", value, anyOf(overflow.Kinds[:]))
			}
		case "state":
			for state := range strings.SplitSeq(strings.Join(values[name], ","), ",") {
				if !slices.Contains(overflow.States[:], overflow.State(state)) {
					return filter, fmt.Errorf("state is %q; give %s, or several separated by commas", state, anyOf(overflow.States[:]))
				}
				filter.States = append(filter.States, overflow.State(state))
			}
		case "owner":
			filter.Owner = value
		case "model":
			filter.Model = value
		case "before":
			if filter.Before = value; !overflow.ValidID(value) {
				return filter, fmt.Errorf("before is %q; give the ID of a job, the last one of the page before", value)
			}
		case "limit":
			if filter.Limit, err = strconv.Atoi(value); err != nil || filter.Limit < 1 || filter.Limit > MaxPageSize {
				return filter, fmt.Errorf("limit is %q; give a number from 1 to %d", value, MaxPageSize)
			}
		default:
			return filter, fmt.Errorf("there is no %q to ask for; there is kind, state, owner, model, before, limit", name)
		}
	}
	return filter, nil
}

// parseFilter reads which jobs an action is for. It has to be asked for some, not for all.
func (action *JobAction) parseFilter(query string) (overflow.Filter, error) {
	filter, err := parseFilter(query)
	if err != nil {
		return filter, err
	}
	if len(filter.States) == 0 && filter.Model == "" && filter.Owner == "" {
		return filter, fmt.Errorf("say which jobs are to be %s: give state, model or owner", action.Done)
	}
	if len(filter.States) == 0 {
		filter.States = action.usual
	}
	for _, state := range filter.States {
		if !slices.Contains(action.from, state) {
			return filter, fmt.Errorf("jobs that are %s cannot be %s; give state as %s", state, action.Done, anyOf(action.from))
		}
	}
	filter.Kind = cmp.Or(filter.Kind, overflow.Request)
	return filter, nil
}

// anyOf lists words for a sentence.
func anyOf[T ~string](words []T) string {
	texts := make([]string, len(words))
	for i, word := range words {
		texts[i] = string(word)
	}
	last := len(texts) - 1
	if last < 1 {
		return strings.Join(texts, "")
	}
	return strings.Join(texts[:last], ", ") + " or " + texts[last]
}
