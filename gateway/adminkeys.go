package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/runestone-gateway/runestone/keys"
	"github.com/runestone-gateway/runestone/telemetry"
)

// keysAPI is the part of the admin API that is about API keys. Those of the configuration and of the key file are
// shown, and changed where they are written.
//
//	GET  /runestone/keys                  all keys, without their secrets
//	POST /runestone/keys                  make one, which is stored; its secret is in the answer, and nowhere else
//	GET  /runestone/keys/{name}           a key
//	POST /runestone/keys/{name}/rotate    give it a new secret; those that it has end after ?grace=24h
//	POST /runestone/keys/{name}/revoke    end it
type keysAPI struct {
	directory func() (*keys.Directory, error)
}

// KeyList is what GET /runestone/keys answers.
type KeyList struct {
	Keys []keys.Listed `json:"keys"`
}

// IssuedKey is a new secret of a key, which is shown once.
type IssuedKey struct {
	Key         string    `json:"key"`
	Secret      string    `json:"secret"`
	Fingerprint string    `json:"fingerprint"`
	Created     time.Time `json:"created"`
	// EarlierEnd is when the secrets that the key had before end, if it had any.
	EarlierEnd time.Time `json:"earlier_secrets_end,omitzero"`
}

// maxKeyBody bounds what is read of a key that is to be made, in bytes.
const maxKeyBody = 1 << 20

// activeDirectory returns the keys of the configuration in force.
func activeDirectory() (*keys.Directory, error) {
	app, err := activeApp()
	if err != nil {
		return nil, err
	}
	if app.clients.directory == nil {
		return nil, caddy.APIError{HTTPStatus: http.StatusConflict, Err: errors.New(
			"no keys are configured, so that everybody may use the gateway; write keys { stored } into the global option runestone to make some")}
	}
	return app.clients.directory, nil
}

func (api *keysAPI) routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{
		{Pattern: "/runestone/keys", Handler: caddy.AdminHandlerFunc(api.all)},
		{Pattern: "/runestone/keys/{name}", Handler: only(http.MethodGet, api.show)},
		{Pattern: "/runestone/keys/{name}/rotate", Handler: only(http.MethodPost, api.rotate)},
		{Pattern: "/runestone/keys/{name}/revoke", Handler: only(http.MethodPost, api.revoke)},
	}
}

// all lists the keys, or makes one.
func (api *keysAPI) all(w http.ResponseWriter, r *http.Request) error {
	d, err := api.directory()
	if err != nil {
		return err
	}
	switch r.Method {
	case http.MethodGet:
		return writeJSON(w, KeyList{d.List()})
	case http.MethodPost:
		return api.create(w, r, d)
	}
	w.Header().Set("Allow", "GET, POST")
	return caddy.APIError{HTTPStatus: http.StatusMethodNotAllowed, Err: fmt.Errorf("use GET or POST, not %s", r.Method)}
}

func (*keysAPI) create(w http.ResponseWriter, r *http.Request, d *keys.Directory) error {
	var k keys.Key
	body := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxKeyBody))
	body.DisallowUnknownFields()
	if err := body.Decode(&k); err != nil {
		return caddy.APIError{HTTPStatus: http.StatusBadRequest, Err: fmt.Errorf("the key in the body %w", keys.DecodeError(err))}
	}
	issued, err := d.Create(r.Context(), k)
	if err != nil {
		return keyError(err)
	}
	return writeIssued(w, http.StatusCreated, telemetry.KeyCreated, &issued)
}

// find returns a key, and the directory that has it.
func (api *keysAPI) find(r *http.Request) (*keys.Directory, keys.Listed, error) {
	d, err := api.directory()
	if err != nil {
		return nil, keys.Listed{}, err
	}
	for _, k := range d.List() {
		if k.Name == r.PathValue("name") {
			return d, k, nil
		}
	}
	return nil, keys.Listed{}, keyError(keys.ErrNotFound)
}

func (api *keysAPI) show(w http.ResponseWriter, r *http.Request) error {
	_, k, err := api.find(r)
	if err != nil {
		return err
	}
	return writeJSON(w, k)
}

func (api *keysAPI) rotate(w http.ResponseWriter, r *http.Request) error {
	d, k, err := api.find(r)
	if err != nil {
		return err
	}
	var grace time.Duration
	if text := r.URL.Query().Get("grace"); text != "" {
		if grace, err = caddy.ParseDuration(text); err != nil || grace < 0 {
			return caddy.APIError{HTTPStatus: http.StatusBadRequest, Err: errors.New("grace is for how long earlier secrets go on, such as 24h or 7d")}
		}
	}
	issued, err := d.Rotate(r.Context(), k.Name, grace)
	if err != nil {
		return keyError(err)
	}
	return writeIssued(w, http.StatusOK, telemetry.KeyRotated, &issued)
}

func (api *keysAPI) revoke(w http.ResponseWriter, r *http.Request) error {
	d, k, err := api.find(r)
	if err != nil {
		return err
	}
	if err := d.Revoke(r.Context(), k.Name); err != nil {
		return keyError(err)
	}
	telemetry.KeyRotate.Emit(telemetry.KeyChanged{Key: k.Name, Change: telemetry.KeyRevoked})
	return api.show(w, r)
}

func writeIssued(w http.ResponseWriter, status int, change string, issued *keys.Issued) error {
	telemetry.KeyRotate.Emit(telemetry.KeyChanged{Key: issued.Key, Change: change})
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	return json.NewEncoder(w).Encode(IssuedKey{
		Key: issued.Key, Secret: issued.Secret.Reveal(), Fingerprint: issued.Fingerprint, Created: issued.Created, EarlierEnd: issued.Ended,
	})
}

// keyError gives an error of the directory's the status that it has.
func keyError(err error) error {
	status := http.StatusInternalServerError
	switch {
	case errors.Is(err, keys.ErrNotFound):
		status = http.StatusNotFound
	case errors.Is(err, keys.ErrInvalid):
		status = http.StatusBadRequest
	case errors.Is(err, keys.ErrExists), errors.Is(err, keys.ErrNotStored), errors.Is(err, keys.ErrNoStorage), errors.Is(err, keys.ErrRevoked):
		status = http.StatusConflict
	}
	return caddy.APIError{HTTPStatus: status, Err: err}
}
