package gateway

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/caddyserver/caddy/v2"

	"github.com/runestone-gateway/runestone/overflow"
)

// Limits of the configuration of overflow.
const (
	maxWorkers     = 10_000
	maxJobAttempts = 100
	maxJobs        = 10_000_000

	minEncrypt = 16 // bytes
	minSigning = 24 // bytes, before base64
	maxSigning = 64
)

func (k *checker) overflow() {
	c := k.Overflow
	if c == nil {
		return
	}
	if on := *c; c.Off {
		if on.Off = false; !reflect.DeepEqual(on, overflow.Config{}) {
			k.addf("overflow.off", "overflow is off and has options; remove either")
		}
		return
	}
	k.queue()
	k.whole("workers", c.Workers, maxWorkers)
	k.whole("per_provider", c.PerProvider, maxWorkers)
	k.whole("max_attempts", c.MaxAttempts, maxJobAttempts)
	k.backoff("overflow.backoff", "backoff", c.Backoff)
	k.backoff("overflow.max_backoff", "the longest backoff", c.MaxBackoff)
	if c.MaxBackoff > 0 && c.MaxBackoff < c.Backoff {
		k.addf("overflow.max_backoff", "the longest backoff is %s and the first %s; write the first, then one that is as long or longer",
			time.Duration(c.MaxBackoff), time.Duration(c.Backoff))
	}
	k.span("job_timeout", c.JobTimeout, "1ms", "24h")
	k.span("lease", c.Lease, "1s", "1h")
	k.span("max_age", c.MaxAge, "1s", "365d")
	k.span("keep_results", c.KeepResults, "1m", "365d")
	k.span("keep_discarded", c.KeepDiscarded, "1m", "365d")
	k.whole("max_jobs", c.MaxJobs, maxJobs)
	k.span("shutdown_grace", c.ShutdownGrace, "1ms", "24h")
	switch c.Default {
	case "", overflow.Reject, overflow.Async:
	default:
		k.addf("overflow.default", "default is %q; write %s or %s", c.Default, overflow.Reject, overflow.Async)
	}
	if p := c.Priority; p != nil && (*p < 0 || *p >= overflow.Priorities) {
		k.addf("overflow.priority", "priority is %d; write a whole number from 0, which is served first, to %d", *p, overflow.Priorities-1)
	}
	k.secrets("overflow.encrypt", "encrypt", c.Encrypt, tooShort)
	k.callback("overflow.callback", c.Callback)
}

func (k *checker) queue() {
	var queue struct {
		Type string `json:"type"`
	}
	if raw := k.Overflow.QueueRaw; raw != nil && (json.Unmarshal(raw, &queue) != nil || queue.Type == "") {
		k.addf("overflow.queue", `the queue of overflow has no type; write one such as {"type": "embedded"}`)
	}
}

// whole checks a number of overflow of which zero is the default.
func (k *checker) whole(field string, n, most int) {
	if n < 0 || n > most {
		k.addf("overflow."+field, "%s is %d; write a whole number from 1 to %d", spoken(field), n, most)
	}
}

// span checks a duration of overflow of which zero is the default.
func (k *checker) span(field string, d caddy.Duration, least, most string) {
	from, _ := caddy.ParseDuration(least)
	to, _ := caddy.ParseDuration(most)
	if d := time.Duration(d); d != 0 && (d < from || d > to) {
		k.addf("overflow."+field, "%s is %s; write a duration from %s to %s, with its unit", spoken(field), d, least, most)
	}
}

// spoken returns a path as words.
func spoken(field string) string { return strings.ReplaceAll(field, ".", " ") }

// secrets checks what the option what holds. wrong says what is wrong with a secret that is
// written out, "" for nothing. A message never holds one.
func (k *checker) secrets(path, what string, secrets []string, wrong func(secret string) string) {
	first := map[string]int{}
	for i, text := range secrets {
		path, number, text := fmt.Sprintf("%s[%d]", path, i), i+1, strings.TrimSpace(text)
		same, repeated := first[text]
		switch {
		case text == "":
			k.addf(path, "secret %d of %s is empty; write a placeholder such as {env.NAME}, or remove it", number, what)
		case repeated:
			k.addf(path, "secrets %d and %d of %s are the same; remove one", same, number, what)
		default:
			first[text] = number
			// What a placeholder stands for is not known yet.
			if wrong := wrong(text); wrong != "" && !strings.Contains(text, "{") {
				k.addf(path, "secret %d of %s is %s", number, what, wrong)
			}
		}
	}
}

func tooShort(secret string) string {
	if len(secret) >= minEncrypt {
		return ""
	}
	return fmt.Sprintf("shorter than %d bytes; write one such as `openssl rand -base64 32` prints", minEncrypt)
}

// unsuitable follows the Standard Webhooks specification 1.0.0.
func unsuitable(secret string) string {
	text, marked := strings.CutPrefix(secret, "whsec_")
	key, err := base64.StdEncoding.Strict().DecodeString(text)
	if marked && err == nil && len(key) >= minSigning && len(key) <= maxSigning {
		return ""
	}
	return fmt.Sprintf("not whsec_ and base64 of %d to %d bytes; make one with: echo whsec_$(openssl rand -base64 32)", minSigning, maxSigning)
}

func (k *checker) callback(path string, c *overflow.CallbackConfig) {
	if c == nil {
		return
	}
	k.hosts(path+".allow", c)
	k.ranges(path+".allow_private", c.AllowPrivate)
	if len(c.Secrets) == 0 {
		k.addf(path+".secrets", "callback has no secret to sign with; write one such as: secret {env.CALLBACK_SECRET}")
	}
	k.secrets(path+".secrets", "callback", c.Secrets, unsuitable)
	k.whole("callback.workers", c.Workers, maxWorkers)
	k.whole("callback.per_host", c.PerHost, maxWorkers)
	k.span("callback.timeout", c.Timeout, "1ms", "1m")
}

// hosts checks which hosts may be called.
func (k *checker) hosts(path string, c *overflow.CallbackConfig) {
	if len(c.Allow) == 0 {
		k.addf(path, "callback allows no host; write allow and the hosts that may be called, such as *.example.com, or * for all")
	}
	hosts := make([]string, len(c.Allow)) // in one way of writing, "" for what is none
	for i, text := range c.Allow {
		var wrong string
		if hosts[i], wrong = hostRule(text, c.AllowPrivate); wrong != "" {
			k.addf(fmt.Sprintf("%s[%d]", path, i), "callback allows %q, %s", text, wrong)
		}
	}
	k.covered(path, c.Allow, func(i, j int) bool {
		below, wild := strings.CutPrefix(hosts[i], "*")
		return hosts[j] != "" && (hosts[i] == hosts[j] || wild && strings.HasSuffix(hosts[j], below))
	})
}

// ranges checks which addresses that are not public may be called.
func (k *checker) ranges(path string, texts []string) {
	ranges := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		var wrong string
		if ranges[i], wrong = addressRange(text); wrong != "" {
			k.addf(fmt.Sprintf("%s[%d]", path, i), "callback allows %q, %s", text, wrong)
		}
	}
	k.covered(path, texts, func(i, j int) bool {
		return ranges[i].Bits() <= ranges[j].Bits() && ranges[i].Contains(ranges[j].Addr())
	})
}

// covered finds the entries of a list of the callback's that another one makes superfluous.
func (k *checker) covered(path string, entries []string, covers func(i, j int) bool) {
	for j, entry := range entries {
		for i, other := range entries {
			if i != j && covers(i, j) && (i < j || !covers(j, i)) {
				k.addf(fmt.Sprintf("%s[%d]", path, j), "callback allows %q, which %q allows already; remove one", entry, other)
				break
			}
		}
	}
}

// hostRule returns a rule of which hosts may be called in one way of writing, or says what
// is wrong with it. Names that are not ASCII are left to be mapped when the configuration is loaded.
func hostRule(text string, private []string) (host, wrong string) {
	const form = "write a name alone, such as hooks.example.com, or *.example.com for all below it, or * for all"
	name, wild := strings.CutPrefix(text, "*.")
	if text == "*" {
		return text, ""
	}
	if addr, err := netip.ParseAddr(name); err == nil && addr.Zone() == "" {
		if wild {
			return "", "and there is no name below an address; write " + name
		}
		return addr.Unmap().String(), closed(addr.Unmap(), private)
	}
	if _, err := netip.ParsePrefix(name); err == nil {
		return "", "which is a range of addresses; write the names or addresses of its hosts, and the range as allow_private if it is not public"
	}
	if bare := bareHost(name); bare != name && bare != "" {
		return "", "which is more than a host; write " + strings.TrimSuffix(text, name) + bare
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	switch {
	case strings.Contains(name, "*"):
		return "", "with a star where none can be; " + form
	case !isHostName(name):
		return "", "which is not a host; " + form
	case wild:
		return "*." + name, ""
	case name == "localhost" && closed(netip.IPv6Loopback(), private) != "":
		return name, closed(netip.AddrFrom4([4]byte{127, 0, 0, 1}), private)
	}
	return name, ""
}

// bareHost returns what is left of a URL or a part of one when all but the host is removed.
func bareHost(text string) string {
	if _, after, ok := strings.Cut(text, "://"); ok {
		text = after
	}
	if end := strings.IndexAny(text, "/?#"); end >= 0 {
		text = text[:end]
	}
	text = text[strings.LastIndexByte(text, '@')+1:]
	if host, _, err := net.SplitHostPort(text); err == nil {
		return host
	}
	return strings.Trim(text, "[]")
}

func isHostName(name string) bool {
	labels := strings.Split(name, ".")
	if _, err := strconv.ParseUint(labels[len(labels)-1], 0, 64); err == nil {
		return false // an address, in part or in another notation
	}
	return !slices.ContainsFunc(labels, func(label string) bool {
		return label == "" || strings.ContainsFunc(label, func(r rune) bool {
			return r <= unicode.MaxASCII && r != '-' && r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
		})
	})
}

// closed says that an address cannot be called, "" if it is public or in one of the ranges.
func closed(addr netip.Addr, private []string) string {
	open := slices.ContainsFunc(private, func(text string) bool {
		p, _ := addressRange(text)
		return p.Contains(addr)
	})
	if open || addr.IsGlobalUnicast() && !addr.IsPrivate() {
		return ""
	}
	return fmt.Sprintf("which is not public and would never be called; add %s to allow_private, or remove it", netip.PrefixFrom(addr, addr.BitLen()))
}

// addressRange reads a range of addresses, as well as it can if it says what is wrong with it.
func addressRange(text string) (p netip.Prefix, wrong string) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		p = netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen())
		return p, "which is a single address; write it as " + p.String()
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, "which is not a range of addresses; write one such as 127.0.0.1/32"
	}
	plain := p
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		plain = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	if plain = plain.Masked(); plain != p {
		wrong = "which is not how the range is written; write " + plain.String()
	}
	return plain, wrong
}
