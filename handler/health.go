package handler

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/runestone-gateway/runestone/gateway"
)

// healthPaths are where the gateway says how it is.
var healthPaths = map[string]bool{"/health": true, "/health/live": true, "/health/ready": true}

// serveHealth says how the gateway is: under /health/live that the process serves, under /health/ready
// whether requests should be sent here, and under /health what that comes from. The
// answer is of the form of draft-inadarei-api-health-check-06. A status of 503 means that
// requests are better sent elsewhere.
func (h *Handler) serveHealth(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	health := gateway.Health{Status: gateway.Pass}
	if r.URL.Path != "/health/live" {
		health = h.app.Health()
	}
	status := http.StatusOK
	if health.Status == gateway.Fail {
		status = http.StatusServiceUnavailable
	}
	var answer any = health
	if r.URL.Path != "/health" {
		answer = struct {
			Status gateway.HealthState `json:"status"`
		}{health.Status}
	}
	body, _ := json.Marshal(answer) // it holds nothing that could fail
	header := w.Header()
	header.Set("Content-Type", "application/health+json")
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if r.Method == http.MethodGet {
		_, _ = w.Write(body)
	}
}
