package redisqueue

import (
	"regexp"
	"slices"
	"testing"
)

// A job's fields have the same order here and there.
func TestFieldsAreThoseOfTheScripts(t *testing.T) {
	t.Parallel()
	list := regexp.MustCompile(`local NAMES = \{([^}]*)\}`).FindStringSubmatch(luaFile("lib"))
	if list == nil {
		t.Fatal("lib.lua has no NAMES")
	}
	var got, want []string
	for _, name := range regexp.MustCompile(`'([a-z_]+)'`).FindAllStringSubmatch(list[1], -1) {
		got = append(got, name[1])
	}
	for _, f := range fields {
		want = append(want, f.name)
	}
	if !slices.Equal(got, want) {
		t.Errorf("NAMES are %v, want %v", got, want)
	}
}
