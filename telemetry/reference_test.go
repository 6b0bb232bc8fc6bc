package telemetry

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"unicode"
)

var update = flag.Bool("update", false, "write docs/events.md")

const referenceFile = "../docs/events.md"

// The page that users read is made of the declarations. Run the test with -update to write it anew.
func TestReferenceIsCurrent(t *testing.T) {
	t.Parallel()
	want := reference()
	if *update {
		if err := os.WriteFile(referenceFile, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(referenceFile)
	if err != nil || string(got) != want {
		t.Errorf("docs/events.md is not what the declarations say (error %v): run make docs", err)
	}
}

// reference returns the page.
func reference() string {
	var b strings.Builder
	b.WriteString(`# Events

Everything that Runestone tells of itself begins as an event. They are declared in the package
telemetry, from which this page is made (` + "`make docs`" + `). Metrics and the dashboard are made of them, and a
module of yours can attach to them as well:

` + "```go" + `
detach := telemetry.RequestStop.Attach(func(e telemetry.RequestStopped) { ... })
` + "```" + `

A sink is called in the goroutine of the request, concurrently, and must be quick. Durations are Go's; here and
in metrics they are in seconds. The bound of a field is how many values it can take; "configuration" means that
it is named there, and "unbounded" that every request may have another.
`)
	for _, e := range Events() {
		fields := reflect.TypeOf(e.Fields())
		fmt.Fprintf(&b, "\n## %s\n\n%s Attach to `telemetry.%s`.\n\n", e.Name(), e.Doc(), variable(e.Name()))
		b.WriteString("| field | unit or bound | what |\n| --- | --- | --- |\n")
		for f := range fields.Fields() {
			unit := f.Tag.Get("unit")
			if unit == "" {
				unit = f.Tag.Get("bound")
				if unicode.IsDigit(rune(unit[0])) {
					unit = "at most " + unit
				}
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", f.Name, unit, strings.ReplaceAll(f.Tag.Get("doc"), "|", `\|`))
		}
	}
	return b.String()
}

// variable returns the name of the variable that an event of a name is.
func variable(name string) string {
	var b strings.Builder
	for word := range strings.FieldsFuncSeq(name, func(r rune) bool { return r == '.' || r == '_' }) {
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String()
}
