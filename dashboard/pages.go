package dashboard

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"path"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

//go:embed assets
var assets embed.FS

// page is a file of the dashboard.
type page struct {
	content     []byte
	contentType string
	etag        string
}

// pages are the files by their paths, without the leading slash.
var pages = loadPages()

var contentTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}

func loadPages() map[string]page {
	entries, err := assets.ReadDir("assets")
	if err != nil {
		panic(err) // it is part of the binary
	}
	all := make(map[string]page)
	for _, entry := range entries {
		content, err := assets.ReadFile("assets/" + entry.Name())
		if err != nil {
			panic(err)
		}
		name := entry.Name()
		if name == "index.html" {
			name = ""
		}
		all[name] = newPage(content, contentTypes[path.Ext(entry.Name())])
	}
	return all
}

func newPage(content []byte, contentType string) page {
	sum := sha256.Sum256(content)
	return page{content, contentType, `"` + hex.EncodeToString(sum[:12]) + `"`}
}

// readOnlyPage is the page for those who may change nothing.
var readOnlyPage = newPage(
	bytes.Replace(pages[""].content, []byte("<html "), []byte(`<html data-read-only="true" `), 1), pages[""].contentType)

// servePage sends a file.
func (h *Handler) servePage(w http.ResponseWriter, r *http.Request, p page) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		refuse(w, http.StatusMethodNotAllowed, "Use GET.")
		return
	}
	if to := withSlash(r); to != "" {
		w.Header().Set("Location", to)
		refuse(w, http.StatusPermanentRedirect, "The dashboard is at "+to)
		return
	}
	header := w.Header()
	header.Set("Cache-Control", "no-cache") // asked again each time, sent only if it has changed
	header.Set("ETag", p.etag)
	if strings.Contains(r.Header.Get("If-None-Match"), p.etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	header.Set("Content-Type", p.contentType)
	header.Set("Content-Length", strconv.Itoa(len(p.content)))
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodGet {
		_, _ = w.Write(p.content)
	}
}

// withSlash returns where the page is when it was asked for without the slash at its end, from which
// its files could not be found; "" if it was not. It is relative to what was asked for.
func withSlash(r *http.Request) string {
	original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request)
	if !ok || strings.Trim(r.URL.Path, "/") != "" || original.URL == nil || strings.HasSuffix(original.URL.Path, "/") {
		return ""
	}
	escaped := original.URL.EscapedPath()
	return "./" + escaped[strings.LastIndexByte(escaped, '/')+1:] + "/"
}

// The spans that the page can show.
var spans = map[string]struct {
	minutes bool
	points  int
}{"5m": {false, secondsKept}, "1h": {true, 60}, "24h": {true, minutesKept}}

// serveHistory answers with the points of a scope: ?kind=provider&name=openai&span=5m, 1h or 24h.
func (h *Handler) serveHistory(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	span, ok := spans[query.Get("span")]
	if !ok {
		refuse(w, http.StatusBadRequest, "The span is 5m, 1h or 24h.")
		return
	}
	id := scopeID{kind: query.Get("kind"), name: query.Get("name")}
	writeJSON(w, http.StatusOK, map[string]any{"columns": columns, "points": h.collector.history(id, span.minutes, span.points)})
}

func writeJSON(w http.ResponseWriter, status int, content any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(content)
}
