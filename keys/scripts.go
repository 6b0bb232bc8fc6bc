package keys

import (
	"crypto/sha1" // by which Redis knows a script
	"embed"
	"encoding/hex"
	"regexp"
)

//go:embed lua/*.lua
var luaFiles embed.FS

// script is a Lua script. Each file in lua says what its KEYS, ARGV and output are.
type script struct{ text, sha string }

// scripts are all of them.
type scripts struct{ take, settle, refresh *script }

// serverTime is how the scripts ask for the time. Tests put another in its place.
const serverTime = "call('TIME')"

var standardScripts = loadScripts(func(text string) string { return text })

// loadScripts makes the scripts, each as edit changes its text.
func loadScripts(edit func(string) string) *scripts {
	load := func(name string) *script {
		text := edit(luaFile("lib") + luaFile(name))
		sum := sha1.Sum([]byte(text))
		return &script{text, hex.EncodeToString(sum[:])}
	}
	return &scripts{load("take"), load("settle"), load("refresh")}
}

var luaComment = regexp.MustCompile(`(?m)^ *--.*\n| +--.*$`)

func luaFile(name string) string {
	text, err := luaFiles.ReadFile("lua/" + name + ".lua")
	if err != nil {
		panic(err) // a script without a file is a mistake in the list above
	}
	return luaComment.ReplaceAllString(string(text), "")
}
