package command

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/spf13/cobra"

	"github.com/runestone-gateway/runestone/gateway"
	"github.com/runestone-gateway/runestone/keys"
)

// keysHelp explains the command runestone keys.
const keysHelp = `
Lists the API keys that clients may use, and makes, rotates and revokes those that are
stored. They are stored if the configuration says so (keys { stored }); keys of the
configuration and of its key file are changed there.

A key may have several secrets, which all work. 'rotate --grace 24h' gives it a new one
and has the others end in 24 hours, so that clients can be changed over meanwhile. A
secret is printed once, when it is made; what is stored does not tell it.`

// newKeysCommand returns the command runestone keys.
func newKeysCommand() *cobra.Command {
	all := &cobra.Command{
		Use: "keys [list|show|create|rotate|revoke]", Short: "Shows and changes the API keys of clients", Long: keysHelp,
		Args: cobra.NoArgs, RunE: onAdmin((*call).listKeys),
	}
	flags := all.PersistentFlags()
	flags.BoolP("json", "j", false, "Print JSON")
	addressFlags(all)
	rotate := &cobra.Command{
		Use: "rotate <name> [--grace <duration>]", Short: "Gives a key a new secret, and prints it",
		Long: "\nGives a stored key a new secret and prints it. Those that it has go on for the time of\n--grace and end then; without, they end now.",
		Args: cobra.ExactArgs(1), RunE: onAdmin((*call).rotateKey),
	}
	rotate.Flags().StringP("grace", "g", "0s", "For how long the earlier secrets go on, such as 24h or 7d")
	all.AddCommand(newCreateCommand(), rotate,
		&cobra.Command{
			Use: "list", Short: "Lists the keys", Long: "\nLists the keys, of all sources, without their secrets.",
			Args: cobra.NoArgs, RunE: onAdmin((*call).listKeys),
		},
		&cobra.Command{
			Use: "show <name>", Short: "Shows a key",
			Long: "\nPrints all that is known of a key, but nothing of its secrets save their fingerprints,\nby which logs tell them apart.",
			Args: cobra.ExactArgs(1), RunE: onAdmin((*call).showKey),
		},
		&cobra.Command{
			Use: "revoke <name>", Short: "Ends a key", Long: "\nEnds a stored key with all its secrets, at once. Other nodes follow within seconds.",
			Args: cobra.ExactArgs(1), RunE: onAdmin((*call).revokeKey),
		})
	return all
}

func newCreateCommand() *cobra.Command {
	create := &cobra.Command{
		Use:   "create <name> [--models <models>] [--requests 600/1m] [--tokens 2000000/1m] [--concurrency 50] [--budget 100/30d]",
		Short: "Makes a key, and prints its secret",
		Long:  "\nMakes a key, stores it, and prints its secret. Without flags it may use everything, within\nthe limits that the configuration has for all keys.",
		Args:  cobra.ExactArgs(1), RunE: onAdmin((*call).createKey),
	}
	f := create.Flags()
	f.StringSliceP("models", "m", nil, "The models that it may ask for, separated by commas; one that ends in * stands for all that begin so")
	f.StringSliceP("routes", "r", nil, "The kinds of calls that it may make, such as chat,embeddings")
	f.IntP("priority", "p", 0, "The best priority that it may ask for in the queue, from 0 to 3")
	f.StringSlice("metadata", nil, "What logs say of it, such as team=billing,env=production")
	f.String("ends", "", "When it ends, such as 2027-01-31T00:00:00Z")
	f.String("requests", "", "How many requests it may make in a window, such as 600/1m")
	f.String("tokens", "", "How many tokens it may use in a window, such as 2000000/1m")
	f.Int("concurrency", 0, "How many requests it may have under way")
	f.String("budget", "", "How much it may spend in a period, in USD, such as 100/30d")
	return create
}

// askKeys asks the keys API and reads the answer into v, or prints it as it came if JSON is wanted, and reports that.
func (c *call) askKeys(method, uri string, body io.Reader, v any) (printed bool, err error) {
	text, err := askJSON(c.address, method, "/runestone/keys"+uri, body, v)
	if err == nil && c.json {
		_, err = c.out.Write(text)
	}
	return c.json, err
}

func (c *call) keyPath(more string) string { return "/" + url.PathEscape(c.args[0]) + more }

func (c *call) listKeys() error {
	var l gateway.KeyList
	if printed, err := c.askKeys(http.MethodGet, "", nil, &l); printed || err != nil {
		return err
	}
	t := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "KEY\tSTATUS\tSOURCE\tSECRETS\tMODELS\tREQUESTS\tTOKENS\tCONCURRENCY\tBUDGET\n")
	for i := range l.Keys {
		k := &l.Keys[i]
		active := 0
		for _, s := range k.Secrets {
			if s.Status == "active" {
				active++
			}
		}
		limits := limitWords(k.Limits)
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\t%s\n", k.Name, k.Status, k.Source, active,
			cut(cmp.Or(strings.Join(k.Models, " "), "all"), modelWidth), strings.Join(limits[:], "\t"))
	}
	return t.Flush()
}

// limitWords returns a key's limits as they are written: requests, tokens, concurrency and budget.
func limitWords(l *keys.Limits) [4]string {
	words := [4]string{nothing, nothing, nothing, nothing}
	if l == nil {
		return words
	}
	for i, rate := range [...]*keys.Rate{l.Requests, l.Tokens} {
		if rate != nil {
			words[i] = fmt.Sprintf("%d/%s", rate.N, span(rate.Window))
		}
	}
	if l.Concurrency > 0 {
		words[2] = strconv.FormatInt(l.Concurrency, 10)
	}
	if l.Budget != nil {
		words[3] = fmt.Sprintf("$%.2f/%s", l.Budget.USD, span(l.Budget.Period))
	}
	return words
}

// span returns a duration as it would be written: 1m, and not 1m0s.
func span(d caddy.Duration) string {
	text := time.Duration(d).String()
	if time.Duration(d)%(24*time.Hour) == 0 {
		return strconv.Itoa(int(time.Duration(d)/(24*time.Hour))) + "d"
	}
	if hours, whole := strings.CutSuffix(text, "h0m0s"); whole {
		return hours + "h"
	}
	if minutes, whole := strings.CutSuffix(text, "m0s"); whole {
		return minutes + "m"
	}
	return text
}

func (c *call) showKey() error {
	var k keys.Listed
	if printed, err := c.askKeys(http.MethodGet, c.keyPath(""), nil, &k); printed || err != nil {
		return err
	}
	return c.printKey(&k)
}

// print writes all that there is to say of a key.
func (c *call) printKey(k *keys.Listed) error {
	t := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	line := func(name, value string) {
		if value != "" && value != nothing {
			fmt.Fprintf(t, "%s\t%s\n", name, value)
		}
	}
	at := func(when time.Time) string {
		if when.IsZero() {
			return ""
		}
		return when.Format(time.RFC3339)
	}
	line("Key", k.Name)
	line("Status", k.Status)
	line("Source", string(k.Source))
	line("Created", at(k.Created))
	line("Ends", at(k.Ends))
	line("Models", cmp.Or(strings.Join(k.Models, " "), "all"))
	line("Routes", cmp.Or(strings.Join(k.Routes, " "), "all"))
	line("Priority", strconv.Itoa(k.Priority))
	for _, name := range sortedKeys(k.Metadata) {
		line("Metadata", printable(name+"="+k.Metadata[name]))
	}
	limits := limitWords(k.Limits)
	for i, name := range [...]string{"Requests", "Tokens", "Concurrency", "Budget"} {
		line(name, limits[i])
	}
	for _, model := range sortedKeys(k.ModelLimits) {
		limits := limitWords(k.ModelLimits[model])
		line("Of "+printable(model), strings.Join(limits[:], " "))
	}
	for _, s := range k.Secrets {
		text := s.Fingerprint + " " + s.Status
		if !s.Ends.IsZero() {
			text += ", ends " + at(s.Ends)
		}
		line("Secret", text)
	}
	return t.Flush()
}

func (c *call) createKey() error {
	k := keys.Key{Name: c.args[0], Models: c.listFlag("models"), Routes: c.listFlag("routes"), Priority: c.flags.Int("priority")}
	for _, pair := range c.listFlag("metadata") {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || name == "" {
			return fmt.Errorf("--metadata is %q; write it as name=value", pair)
		}
		if k.Metadata == nil {
			k.Metadata = make(map[string]string)
		}
		k.Metadata[name] = value
	}
	if text := c.flags.String("ends"); text != "" {
		var err error
		if k.Ends, err = time.Parse(time.RFC3339, text); err != nil {
			return fmt.Errorf("--ends is %q; write a time such as 2027-01-31T00:00:00Z", text)
		}
	}
	var err error
	if k.Limits, err = c.limitFlags(); err != nil {
		return err
	}
	body, err := json.Marshal(&k)
	if err != nil {
		return err
	}
	return c.issueKey("", body, "created")
}

func (c *call) listFlag(flag string) []string {
	list, _ := c.cmd.Flags().GetStringSlice(flag) // the command has it
	return list
}

// limits returns the limits that the flags ask for, nil for none.
func (c *call) limitFlags() (*keys.Limits, error) {
	l := keys.Limits{Concurrency: int64(c.flags.Int("concurrency"))}
	for flag, to := range map[string]**keys.Rate{"requests": &l.Requests, "tokens": &l.Tokens} {
		text := c.flags.String(flag)
		if text == "" {
			continue
		}
		count, window, err := countAndTime(text)
		if err != nil || count != float64(int64(count)) {
			return nil, fmt.Errorf("--%s is %q; write a number and a window, such as 600/1m", flag, text)
		}
		*to = &keys.Rate{N: int64(count), Window: window}
	}
	if text := c.flags.String("budget"); text != "" {
		usd, period, err := countAndTime(text)
		if err != nil {
			return nil, fmt.Errorf("--budget is %q; write an amount in USD and a period, such as 100/30d", text)
		}
		l.Budget = &keys.Budget{USD: usd, Period: period}
	}
	if l == (keys.Limits{}) {
		return nil, nil
	}
	return &l, nil
}

func countAndTime(text string) (float64, caddy.Duration, error) {
	count, window, ok := strings.Cut(text, "/")
	if !ok {
		return 0, 0, errors.New("there is no /")
	}
	n, err := strconv.ParseFloat(count, 64)
	if err != nil {
		return 0, 0, err
	}
	d, err := caddy.ParseDuration(window)
	return n, caddy.Duration(d), err
}

func (c *call) rotateKey() error {
	return c.issueKey(c.keyPath("/rotate?grace="+url.QueryEscape(c.flags.String("grace"))), nil, "rotated")
}

// issue has a secret made, and prints it: the secret alone on its line, so that it can be copied.
func (c *call) issueKey(uri string, body []byte, done string) error {
	var issued gateway.IssuedKey
	if printed, err := c.askKeys(http.MethodPost, uri, bytes.NewReader(body), &issued); printed || err != nil {
		return err
	}
	fmt.Fprintf(c.out, "The key %s is %s. Its secret, which is shown this once:\n\n    %s\n\n", issued.Key, done, issued.Secret)
	if end := issued.EarlierEnd; end.After(c.now()) {
		fmt.Fprintf(c.out, "Its earlier secrets go on until %s.\n", end.Local().Format(time.RFC1123))
	}
	return nil
}

func (c *call) revokeKey() error {
	var k keys.Listed
	if printed, err := c.askKeys(http.MethodPost, c.keyPath("/revoke"), nil, &k); printed || err != nil {
		return err
	}
	_, err := fmt.Fprintf(c.out, "The key %s is revoked.\n", k.Name)
	return err
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
