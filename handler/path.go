package handler

import (
	"net/http"
	"path"
	"strings"

	"github.com/runestone-gateway/runestone/dialect"
)

// checkPath refuses a path that a provider might take for another than the gateway does, and so for one with other rules.
func checkPath(p string) *dialect.Error {
	if dialect.APIOf(p) != dialect.Other {
		return nil // it is spelled as it must be
	}
	if clean := path.Clean(p); clean != p && clean+"/" != p {
		return dialect.Invalid("", "invalid_path", "The path is not in its plain form: write it as "+clean+".")
	}
	known := strings.ToLower(strings.TrimSuffix(p, "/"))
	if known != p && (dialect.APIOf(known) != dialect.Other || modelForms[known] || known == "/v1/models") {
		return dialect.Invalid("", "invalid_path", "The path is not in its plain form: write it as "+known+".")
	}
	if strings.ContainsFunc(p, odd) || strings.Contains(p, "/..") {
		return dialect.Invalid("", "invalid_path", "The path has characters in it that no path of the API has.")
	}
	for _, gone := range [...]string{"/v1/engines/", "/v1/deployments/"} {
		if strings.HasPrefix(known+"/", gone) {
			return &dialect.Error{
				Status: http.StatusNotFound, Type: "invalid_request_error", Code: "unknown_url", Final: true,
				Message: "Models are not named in paths: name it as 'model' in the body.",
			}
		}
	}
	if strings.HasPrefix(known, "/v1/organization") {
		return &dialect.Error{
			Status: http.StatusForbidden, Type: "permission_error", Code: "route_not_allowed", Final: true,
			Message: "The administration of the provider's account is not open to clients of the gateway.",
		}
	}
	return nil
}

// odd reports whether a character of a path, its escapes undone, means something to some servers: the end of the path or of a
// segment, another slash, or an escape once more.
func odd(c rune) bool { return c < ' ' || c == 0x7f || c == '\\' || c == ';' || c == '%' }
