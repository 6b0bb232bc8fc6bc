// Package e2e tests the gateway as its users meet it: the real binary, started
// on a Caddyfile, between real clients and a scripted upstream that speaks raw
// TCP. It holds nothing but tests; see binary_test.go for how the binary is
// made and conformance/ for the suites of others that run through it.
//
// RUNESTONE_BINARY names a binary to test in place of a fresh build, and
// RUNESTONE_RACE=1 builds it with the race detector, as `go test -race` does.
// RUNESTONE_FAULT_ROUNDS=100 has the tests of the drain kill gateways a hundred times,
// rather than a few, and wait for what takes a minute. RUNESTONE_LOAD_SECONDS=30 has those of
// rotation under load take half a minute rather than six seconds.
package e2e
