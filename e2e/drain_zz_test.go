package e2e
import ("testing";"time")
func TestZZ(t *testing.T) {
	st := newStage(t, embedded, "workers 4\nlease 1s")
	st.l.plays(func(s *served) { s.pause(3*time.Second); s.answer() })
	st.place(8)
	st.end(t)
}
