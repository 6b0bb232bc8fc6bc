package main

import (
	"bytes"
	"strings"
	"testing"
)

// sample is what go test -json prints for a package in which one test passes, one
// fails and two are skipped for one reason, and a second package that does not build.
const sample = `
{"Action":"start","Package":"example.com/a"}
{"Action":"run","Package":"example.com/a","Test":"TestGood"}
{"Action":"output","Package":"example.com/a","Test":"TestGood","Output":"=== RUN   TestGood\n"}
{"Action":"output","Package":"example.com/a","Test":"TestGood","Output":"    a_test.go:3: chatter\n"}
{"Action":"output","Package":"example.com/a","Test":"TestGood","Output":"--- PASS: TestGood (0.00s)\n"}
{"Action":"pass","Package":"example.com/a","Test":"TestGood"}
{"Action":"output","Package":"example.com/a","Test":"TestBad","Output":"=== RUN   TestBad\n"}
{"Action":"output","Package":"example.com/a","Test":"TestBad","Output":"    a_test.go:7: got 1, want 2\n"}
{"Action":"output","Package":"example.com/a","Test":"TestBad","Output":"--- FAIL: TestBad (0.00s)\n"}
{"Action":"fail","Package":"example.com/a","Test":"TestBad"}
{"Action":"output","Package":"example.com/a","Test":"TestRedis","Output":"    a_test.go:9: no Redis: set REDIS_URL\n"}
{"Action":"output","Package":"example.com/a","Test":"TestRedis","Output":"--- SKIP: TestRedis (0.00s)\n"}
{"Action":"skip","Package":"example.com/a","Test":"TestRedis"}
{"Action":"output","Package":"example.com/a","Test":"TestRedis2","Output":"    a_test.go:12: no Redis: set REDIS_URL\n"}
{"Action":"skip","Package":"example.com/a","Test":"TestRedis2"}
{"Action":"output","Package":"example.com/a","Test":"TestCut","Output":"panic: boom\n"}
{"Action":"output","Package":"example.com/a","Output":"FAIL\texample.com/a\t0.1s\n"}
{"Action":"fail","Package":"example.com/a"}
{"ImportPath":"example.com/b","Action":"build-output","Output":"b.go:1: syntax error\n"}
{"ImportPath":"example.com/b","Action":"build-fail"}
{"Action":"output","Package":"example.com/b","Output":"FAIL\texample.com/b [build failed]\n"}
{"Action":"fail","Package":"example.com/b"}
{"Action":"output","Package":"example.com/c","Output":"PASS\n"}
{"Action":"output","Package":"example.com/c","Output":"ok  \texample.com/c\t0.2s\n"}
{"Action":"pass","Package":"example.com/c"}
`

func TestReport(t *testing.T) {
	var out bytes.Buffer
	r := newReport(&out)
	if err := r.read(strings.NewReader(sample)); err != nil {
		t.Fatal(err)
	}
	r.summary()
	const want = `    a_test.go:7: got 1, want 2
--- FAIL: TestBad (0.00s)
panic: boom
FAIL	example.com/a	0.1s
b.go:1: syntax error
FAIL	example.com/b [build failed]
ok  	example.com/c	0.2s

Skipped, and why:
  no Redis: set REDIS_URL
    example.com/a TestRedis
    example.com/a TestRedis2

1 passed, 1 failed, 2 skipped
`
	if out.String() != want {
		t.Errorf("printed\n%s\nwant\n%s", out.String(), want)
	}
	if err := r.skipError(); err != nil {
		t.Errorf("skips with a reason: %v", err)
	}
}

func TestSkipsRefused(t *testing.T) {
	for _, test := range []struct{ name, output, want string }{
		{"in silence", `--- SKIP: TestX (0.00s)\n`, "without a reason"},
		{
			"by Caddy's helper",
			`    caddytest.go:139: skipping tests as failed integration prerequisites. cert not found\n`, "-trimpath",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newReport(new(bytes.Buffer))
			err := r.read(strings.NewReader(`{"Action":"output","Package":"a","Test":"TestX","Output":"` + test.output + `"}
				{"Action":"skip","Package":"a","Test":"TestX"}`))
			if err != nil {
				t.Fatal(err)
			}
			err = r.skipError()
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "a TestX") {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

func TestRunRefuses(t *testing.T) {
	if err := run([]string{"-trimpath", "./nothing"}, new(bytes.Buffer)); err == nil || !strings.Contains(err.Error(), "trimpath") {
		t.Errorf("-trimpath: error %v", err)
	}
	t.Setenv("GOFLAGS", "-trimpath")
	if err := run([]string{"./nothing"}, new(bytes.Buffer)); err == nil || !strings.Contains(err.Error(), "trimpath") {
		t.Errorf("GOFLAGS=-trimpath: error %v", err)
	}
}
