package e2e

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// workDir holds the binary for as long as the tests run.
var workDir string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "runestone-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "making the work directory:", err)
		os.Exit(1)
	}
	workDir = dir
	flag.Parse()
	// Most tests wait for the gateway or for a timeout and use no processor, so
	// more of them can go on at once than there are processors.
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		_ = f.Value.Set("8")
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// raceBuild is whether the gateway under test has the race detector in it.
func raceBuild() bool { return raceEnabled || os.Getenv("RUNESTONE_RACE") == "1" }

var buildOnce = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("RUNESTONE_BINARY"); path != "" {
		return filepath.Abs(path)
	}
	path := filepath.Join(workDir, "caddy")
	args := []string{"build", "-o", path}
	if raceBuild() {
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, "./cmd/caddy")...)
	cmd.Dir = ".." // the module's root: tests run in their package's folder
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("building the gateway: %w\n%s", err, out.Bytes())
	}
	return path, nil
})

// binary returns the path of the gateway under test.
func binary(t testing.TB) string {
	t.Helper()
	path, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	return path
}
