package dashboard

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/runestone-gateway/runestone/overflow"
)

// guardHeader is what the page sends with whatever changes anything. Another site cannot have a browser
// send it without asking first, which is not answered.
const guardHeader = "X-Runestone-Dashboard"

// changeLimit is how long the queue gets to change a job.
const changeLimit = 8 * time.Second

// sameOrigin refuses what another site has a browser send.
var sameOrigin = http.NewCrossOriginProtection()

// serveJob retries or cancels a job.
func (h *Handler) serveJob(w http.ResponseWriter, r *http.Request, id, action string) {
	switch {
	case r.Header.Get(guardHeader) != "1" || sameOrigin.Check(r) != nil:
		refuse(w, http.StatusForbidden, "This is for the dashboard's own page. Programs use Caddy's admin endpoint.")
		return
	case h.ReadOnly:
		refuse(w, http.StatusForbidden, "The dashboard is read-only.")
		return
	case !overflow.ValidID(id) || action != "retry" && action != "cancel":
		refuse(w, http.StatusNotFound, "There is no such job or action.")
		return
	}
	app := h.collector.app()
	if app == nil {
		refuse(w, http.StatusServiceUnavailable, "The gateway is starting or ending.")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), changeLimit)
	defer cancel()
	job, err := app.ChangeJob(ctx, action, id)
	if err != nil {
		status, text := http.StatusInternalServerError, "The job could not be changed."
		if told, ok := errors.AsType[caddy.APIError](err); ok {
			status, text = told.HTTPStatus, told.Err.Error()
		}
		refuse(w, status, text)
		return
	}
	h.logger.Info("a job was changed from the dashboard", zap.String("job", id), zap.String("action", action),
		zap.String("user", userOf(r)), zap.String("remote", r.RemoteAddr))
	h.collector.relist()
	writeJSON(w, http.StatusOK, job)
}

// relist has the jobs listed with the next tick.
func (c *collector) relist() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.listed = time.Time{}
}
