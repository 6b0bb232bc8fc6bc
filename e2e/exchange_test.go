package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"
)

// exchange is one request that reached the upstream, and the pen for its answer.
type exchange struct {
	u    *upstream
	conn *net.TCPConn
	br   *bufio.Reader

	Req     *http.Request
	Head    []byte // the request line and headers as they came
	Body    []byte // without the transfer coding
	BodyErr error

	done bool // the connection is over for us

	watching sync.Once
	gone     chan struct{} // closed when the gateway closed the connection, or sent its next request
	goneAt   time.Time     // set before gone is closed
	more     bool          // gone because of a next request
}

func (x *exchange) readBody() {
	x.Body, x.BodyErr = io.ReadAll(x.Req.Body)
	x.watch()
}

// watch notices the gateway's leaving. The body has to have been read by then.
func (x *exchange) watch() {
	x.watching.Do(func() {
		go func() {
			_, err := x.br.Peek(1)
			x.goneAt, x.more = time.Now(), err == nil
			close(x.gone)
		}()
	})
}

// write sends bytes as they are. Errors are not reported: the gateway may leave
// at any time, and what a test expects of that it asserts by gone.
func (x *exchange) write(s string) {
	if _, err := io.WriteString(x.conn, s); err != nil {
		x.done = true
	}
}

// head sends a status line and headers, given as lines.
func (x *exchange) head(status int, lines ...string) {
	x.write(headText(status, lines...))
}

func headText(status int, lines ...string) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\n", status, http.StatusText(status))
	for _, l := range lines {
		b.WriteString(l + "\r\n")
	}
	b.WriteString("\r\n")
	return b.String()
}

// answer sends a whole answer with a length.
func (x *exchange) answer(status int, contentType, body string, lines ...string) {
	lines = append(slices.Clip(lines), "Content-Type: "+contentType, "Content-Length: "+strconv.Itoa(len(body)))
	x.write(headText(status, lines...) + body)
}

func (x *exchange) json(status int, body string, lines ...string) {
	x.answer(status, "application/json", body, lines...)
}

// sse begins a chunked event stream.
func (x *exchange) sse(lines ...string) {
	x.head(http.StatusOK, append(slices.Clip(lines), "Content-Type: text/event-stream; charset=utf-8", "Transfer-Encoding: chunked")...)
}

// chunk sends s as one chunk in one write.
func (x *exchange) chunk(s string) {
	if s != "" {
		x.write(fmt.Sprintf("%x\r\n%s\r\n", len(s), s))
	}
}

// end ends a chunked answer; the connection goes on.
func (x *exchange) end() { x.write("0\r\n\r\n") }

// fin closes the connection in an orderly way, whatever was promised before.
func (x *exchange) fin() {
	x.done = true
	_ = x.conn.CloseWrite()
	select { // a full close at once could become a reset that overtakes the data
	case <-x.gone:
	case <-x.u.stop:
	case <-time.After(patience):
	}
}

// reset kills the connection with a TCP RST.
func (x *exchange) reset() {
	x.done = true
	_ = x.conn.SetLinger(0)
	_ = x.conn.Close()
}

// hang stays silent until the gateway leaves or the test is over.
func (x *exchange) hang() {
	x.done = true
	select {
	case <-x.gone:
	case <-x.u.stop:
	}
}

// leftAt waits until the gateway closed the connection and returns when it did.
// ok is false when it has not within limit.
func (x *exchange) leftAt(limit time.Duration) (at time.Time, ok bool) {
	select {
	case <-x.gone:
		return x.goneAt, !x.more
	case <-time.After(limit):
		return time.Time{}, false
	}
}

// taken waits until the gateway has read all that was written, so that what is
// written next is a read of its own for the gateway. The kernel knows: our send queue
// and the receive queue at the other end of the connection are empty.
func (x *exchange) taken() {
	here, there := x.conn.LocalAddr().(*net.TCPAddr).Port, x.conn.RemoteAddr().(*net.TCPAddr).Port
	sending := fmt.Appendf(nil, ":%04X 0100007F:%04X ", here, there)
	reading := fmt.Appendf(nil, ":%04X 0100007F:%04X ", there, here)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		table, err := os.ReadFile("/proc/net/tcp")
		if err != nil { // no such thing on this system; the split may go unseen
			return
		}
		if queuesEmpty(table, sending) && queuesEmpty(table, reading) {
			return
		}
		select {
		case <-x.gone:
			return
		default:
		}
	}
}

// queuesEmpty looks at the line of a /proc/net/tcp table that has the ports pair.
func queuesEmpty(table, pair []byte) bool {
	_, line, found := bytes.Cut(table, pair)
	if !found || len(line) < 20 {
		return true // the connection is gone
	}
	// "01 00000000:00000000": the state, the send and the receive queue.
	return bytes.Equal(line[3:20], []byte("00000000:00000000"))
}
