package gateway

import (
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/runestone-gateway/runestone/gateway/admintest"
	"github.com/runestone-gateway/runestone/overflow"
	"github.com/runestone-gateway/runestone/overflow/queuetest"
)

// jobsRig is the jobs API of an app whose queue is in memory.
type jobsRig struct{ *admintest.Rig }

func newJobsRig(t *testing.T) *jobsRig {
	t.Helper()
	app := newQueueApp(t, func() (overflow.Queue, error) { return queuetest.NewQueue(), nil })
	service, err := app.Deferrals()
	if err != nil {
		t.Fatal(err)
	}
	return &jobsRig{admintest.New(t, service, JobsAdminRoutes(app.Deferrals))}
}

// testOpener is an opener.
type testOpener struct {
	key  string // no other test's
	open func() (overflow.Queue, error)
}

func (o testOpener) Key() string                              { return o.key }
func (o testOpener) Open(*zap.Logger) (overflow.Queue, error) { return o.open() }

// newQueueApp returns an app whose queue open opens.
func newQueueApp(t *testing.T, open func() (overflow.Queue, error)) *App {
	t.Helper()
	app := &App{logger: zap.NewNop(), jobs: deferral{
		setup: admintest.NewSetup(t), opener: testOpener{t.Name() + overflow.NewID(time.Now()), open},
	}}
	t.Cleanup(func() {
		if err := app.releaseOverflow(); err != nil {
			t.Error(err)
		}
	})
	return app
}

// ask asks the API, and reads what it answers into v unless that is nil.
func (r *jobsRig) ask(method, uri string, v any) (status int, text string) {
	r.Helper()
	return askAt(r.T, r.Address, method, uri, v)
}

func askAt(t *testing.T, address, method, uri string, v any) (status int, text string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+address+uri, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if v != nil && res.StatusCode == http.StatusOK {
		if err := json.Unmarshal(body, v); err != nil {
			t.Fatalf("%s: %s", err, body)
		}
	}
	return res.StatusCode, string(body)
}
