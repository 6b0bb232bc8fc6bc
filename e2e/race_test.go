//go:build race

package e2e

// raceEnabled makes the gateway under test a race build when the tests are one,
// since the races worth finding are in the gateway's process and not in ours.
const raceEnabled = true
