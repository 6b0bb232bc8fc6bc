package keys

import (
	"testing"
	"time"
)

func TestBudgetsOutliveTheProcess(t *testing.T) {
	t.Parallel()
	c := newClock()
	before := newTestLimiter(t, new(Config), LimiterOptions{Now: c.now, Name: t.Name() + "before"})
	caller := keyWith("team", &Limits{Budget: budget(10, "30d"), Requests: rate(5, "1m")}, map[string]*Limits{"m": {Tokens: rate(1000, "1h")}})
	var lease Lease
	for range 3 {
		if r, ok := before.Acquire(t.Context(), &lease, Ask{Caller: caller, Model: "m", Tokens: 100}); !ok {
			t.Fatal(r)
		}
		lease.Settle(50, 1.5)
		c.advance(26 * time.Hour)
	}
	saved := before.Save()
	after := newTestLimiter(t, new(Config), LimiterOptions{Now: c.now, Name: t.Name() + "after"})
	if err := after.Restore(saved); err != nil {
		t.Fatal(err)
	}
	if err := after.Restore(saved); err != nil { // it counts once
		t.Fatal(err)
	}
	if string(after.Save()) != string(saved) {
		t.Errorf("%s\nwas %s", after.Save(), saved)
	}
	if _, ok := after.Acquire(t.Context(), &lease, Ask{Caller: caller, Model: "m"}); !ok {
		t.Fatal("refused")
	}
	if left := lease.left(Spend); left != 5_500_000_000 {
		t.Errorf("%d billionths of a USD are left, want 5.5 USD", left)
	}
	lease.Settle(0, 0)
	c.advance(29 * 24 * time.Hour) // only the last is not too old
	if _, ok := after.Acquire(t.Context(), &lease, Ask{Caller: caller, Model: "m"}); !ok {
		t.Fatal("refused")
	}
	if left := lease.left(Spend); left != 8_500_000_000 {
		t.Errorf("%d billionths of a USD are left, want 8.5 USD", left)
	}
	lease.Cancel()
}

func FuzzRestore(f *testing.F) {
	f.Add([]byte(`[{"caller":"a","kind":2,"part":43200000000000,"head":41666,"counts":[1,2,3]}]`))
	f.Add([]byte(`[{"model":"m","kind":0,"part":60000000000,"head":0,"counts":[1]}]`))
	f.Add([]byte(`[{"kind":9,"part":-1}]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		c := newClock()
		l := newTestLimiter(t, new(Config), LimiterOptions{Now: c.now})
		if l.Restore(text) != nil && l.usage.count() != 0 {
			t.Fatal("something was counted in spite of the error")
		}
		limits := &Limits{Requests: rate(1, "1h"), Tokens: rate(5, "1h"), Budget: budget(1, "30d")}
		var lease Lease
		_, _ = l.Acquire(t.Context(), &lease, Ask{Caller: keyWith("a", limits, nil), Model: "m", Tokens: 3})
		lease.Settle(4, 0.1)
		if err := l.Restore(l.Save()); err != nil {
			t.Fatal(err)
		}
	})
}
