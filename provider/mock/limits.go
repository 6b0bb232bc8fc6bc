package mock

import (
	"fmt"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// unlimited is the pace that knows no pauses.
const unlimited = -1

const (
	defaultRate   = 50
	defaultStatus = 503
	defaultWords  = 50
)

const (
	minRate, maxRate     = 0.01, 1_000_000
	minStatus, maxStatus = 400, 599
	maxWords             = 100_000
	maxLatency           = 10 * time.Minute
	maxRetryAfter        = 86_400
)

// The check functions say what is wrong with a value and what would be right.

func checkRate(x float64) error {
	if x == unlimited || x >= minRate && x <= maxRate {
		return nil
	}
	return fmt.Errorf("%v is out of range; give %v to %d words per second, or -1 for no pauses", x, minRate, maxRate)
}

func checkShare(x float64) error {
	if x >= 0 && x <= 1 {
		return nil
	}
	return fmt.Errorf("%v is out of range; give a share from 0 to 1, such as 0.05", x)
}

func checkLatency(d time.Duration) error {
	if d >= 0 && d <= maxLatency {
		return nil
	}
	return fmt.Errorf("%v is out of range; give a duration from 0 to 10m, such as 200ms", d)
}

func checkInt(n, low, high int) error {
	if n >= low && n <= high {
		return nil
	}
	return fmt.Errorf("%d is out of range; give a whole number from %d to %d", n, low, high)
}

func parseRate(s string) (float64, error) {
	x, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number of words per second; give one such as 50", s)
	}
	return x, checkRate(x)
}

func parseShare(s string) (float64, error) {
	x, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number; give a share from 0 to 1, such as 0.05", s)
	}
	return x, checkShare(x)
}

func parseLatency(s string) (time.Duration, error) {
	d, err := caddy.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("%q is not a duration; give one such as 200ms", s)
	}
	return d, checkLatency(d)
}

func parseInt(s string, low, high int) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0, fmt.Errorf("%q is not a whole number; give one from %d to %d", s, low, high)
	}
	return n, checkInt(n, low, high)
}
