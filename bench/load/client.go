package load

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/runestone-gateway/runestone/bench/upstream"
	"github.com/runestone-gateway/runestone/bench/wire"
)

const maxAnswer = 1 << 20

// client is one connection. It is used by one goroutine at a time.
type client struct {
	plan    *Plan
	request []byte
	// strict has every answer parsed as JSON. Warm-ups are strict; measured
	// answers are compared with what a strict reading has accepted.
	strict bool

	conn    net.Conn
	unwatch func() bool
	br      *bufio.Reader
	lines   *bufio.Reader // of body
	head    wire.Head
	body    wire.Body
	answer  []byte
	proven  []byte // an answer that was parsed and found right

	latencies   []time.Duration
	chunkDelays []time.Duration
	chunks      int
}

// begin sends the request and reads the answer's head.
func (c *client) begin(ctx context.Context) error {
	if c.conn == nil {
		if err := c.dial(ctx); err != nil {
			return err
		}
	}
	if err := c.conn.SetDeadline(time.Now().Add(c.plan.Timeout)); err != nil {
		return err
	}
	if _, err := c.conn.Write(c.request); err != nil {
		return err
	}
	if err := c.head.Read(c.br); err != nil {
		return fmt.Errorf("no answer: %w", err)
	}
	c.body.Reset(c.br, &c.head)
	switch {
	case c.head.Status() != 200:
		c.answer, _ = c.body.AppendTo(c.answer[:0], maxAnswer) // what there is of an explanation
		return fmt.Errorf("answered %q: %.300s", c.head.First, c.answer)
	case c.head.Close:
		return errors.New("the gateway does not keep the connection alive")
	case !c.head.Chunked && c.head.Length < 0:
		return errors.New("the answer's length is not announced")
	}
	return nil
}

func (c *client) dial(ctx context.Context) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", c.plan.Addr)
	if err != nil {
		return err
	}
	c.conn = conn
	c.unwatch = context.AfterFunc(ctx, func() { _ = conn.Close() })
	c.br = bufio.NewReaderSize(conn, 8<<10)
	c.lines = bufio.NewReaderSize(&c.body, 8<<10)
	return nil
}

func (c *client) close() {
	if c.conn != nil {
		c.unwatch()
		_ = c.conn.Close()
		c.conn = nil
	}
}

// complete does one non-streamed exchange.
func (c *client) complete(ctx context.Context) error {
	began := time.Now()
	if err := c.begin(ctx); err != nil {
		return err
	}
	var err error
	if c.answer, err = c.body.AppendTo(c.answer[:0], maxAnswer); err != nil {
		return fmt.Errorf("the answer is cut off: %w", err)
	}
	c.latencies = append(c.latencies, time.Since(began))
	if !c.strict && c.proven != nil && bytes.Equal(c.answer, c.proven) {
		return nil
	}
	if err := checkAnswer(c.answer); err != nil {
		return err
	}
	c.proven = append(c.proven[:0], c.answer...)
	return nil
}

func checkAnswer(body []byte) error {
	var answer struct {
		Object  string
		Model   string
		Choices []struct {
			Message struct{ Content string }
			Finish  string `json:"finish_reason"`
		}
		Usage struct {
			Total int `json:"total_tokens"`
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return fmt.Errorf("the answer is not JSON: %w", err)
	}
	switch {
	case answer.Object != "chat.completion", answer.Model != wire.Model,
		len(answer.Choices) != 1, answer.Usage.Total == 0:
		return fmt.Errorf("not the upstream's answer: %.300s", body)
	case answer.Choices[0].Message.Content != upstream.AnswerText, answer.Choices[0].Finish != "stop":
		return fmt.Errorf("the answer's text is not the upstream's: %.300s", body)
	}
	return nil
}
