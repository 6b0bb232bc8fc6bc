package redisqueue

import (
	"crypto/sha1" // by which Redis knows a script
	"embed"
	"encoding/hex"
	"regexp"
	"strconv"
	"strings"
)

//go:embed lua/*.lua
var luaFiles embed.FS

// script is a Lua script that runs a batch of calls. Each file in lua says what KEYS, ARGV and
// output of one call are.
type script struct {
	text, sha string
}

// What a script may do, in the words of its first line. A server that is full, or
// cannot write, refuses a script as a whole before it has begun, unless a flag allows it.
const (
	reads  = "no-writes" // also on a server that is full or read-only
	frees  = "allow-oom" // what ends jobs, or moves them, works on a full server
	stores = ""          // what stores more does not
)

var (
	enqueueScript   = newScript("enqueue", stores)
	appendScript    = newScript("append", stores)
	claimScript     = newScript("claim", frees)
	applyScript     = newScript("apply", frees)
	heartbeatScript = newScript("heartbeat", frees)
	wakeScript      = newScript("wake", frees)
	maintainScript  = newScript("maintain", frees)
	sweepScript     = newScript("sweep", frees)
	reconcileScript = newScript("reconcile", frees)
	pauseScript     = newScript("pause", frees)
	turnScript      = newScript("turn", frees)
	getScript       = newScript("get", reads)
	findScript      = newScript("find", reads)
	aheadScript     = newScript("ahead", reads)
	outputScript    = newScript("output", reads)
	listScript      = newScript("list", reads)
	statsScript     = newScript("stats", reads)
)

func (s *script) name() string   { return s.sha }
func (s *script) source() string { return s.text }

func newScript(name, flag string) *script {
	text := "#!lua"
	if flag != "" {
		text += " flags=" + flag
	}
	text += "\n" + luaFile("lib") + "local function run(ARGV)\n" + luaFile(name) + "end\n" + luaFile("tail")
	sum := sha1.Sum([]byte(text))
	return &script{text: text, sha: hex.EncodeToString(sum[:])}
}

var (
	luaComment = regexp.MustCompile(`(?m)^ *--.*\n| +--.*$`)
	luaField   = regexp.MustCompile(`\b[A-Z]+(_[A-Z]+)*\b`)
)

// luaFile returns what is in a file, without comments and with numbers for the names of fields.
func luaFile(name string) string {
	text, err := luaFiles.ReadFile("lua/" + name + ".lua")
	if err != nil {
		panic(err) // a script without a file is a mistake in the list above
	}
	code := luaComment.ReplaceAllString(string(text), "")
	return luaField.ReplaceAllStringFunc(code, func(word string) string {
		if word == "ID" {
			return strconv.Itoa(len(fields) + 1)
		}
		for i := range fields {
			if fields[i].name == strings.ToLower(word) {
				return strconv.Itoa(i + 1)
			}
		}
		return word
	})
}
