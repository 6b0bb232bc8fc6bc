package gateway

import (
	"fmt"
	"slices"
	"strings"

	"github.com/runestone-gateway/runestone/dialect"
	"github.com/runestone-gateway/runestone/keys"
)

// keyRoutes are the kinds of calls that a key may be bound to.
var keyRoutes = []string{
	string(dialect.Chat), string(dialect.Completions), string(dialect.Embeddings), string(dialect.Responses),
	string(dialect.Messages), string(dialect.CountTokens), string(Jobs), string(dialect.Other),
}

func (k *checker) keys() {
	c := k.Keys
	if c == nil {
		return
	}
	names, secrets := make(map[string]bool), make(map[string]string)
	for i, key := range c.Keys {
		path := fmt.Sprintf("keys.keys[%d]", i)
		if key == nil {
			k.addf(path, "the key is null; remove it")
			continue
		}
		if err := key.Validate(); err != nil {
			k.addf(path, "%v", err)
			continue
		}
		if names[key.Name] {
			k.addf(path, "the key '%s' is there twice; put both secrets into one, or give one another name", key.Name)
		}
		names[key.Name] = true
		k.key(path, key, secrets)
	}
	rest := *c
	rest.Keys = nil
	if err := rest.Validate(); err != nil {
		k.addf("keys", "%v", err)
	}
}

// key checks what a key names. secrets are those of the keys before it, by what is written of them.
func (k *checker) key(path string, key *keys.Key, secrets map[string]string) {
	for _, s := range key.Secrets {
		text := strings.ToLower(s.SHA256)
		if text == "" {
			text = s.Secret
		}
		switch other, twice := secrets[text]; {
		case twice && other == key.Name:
			k.addf(path, "the key '%s' has one secret twice; remove one", key.Name)
		case twice:
			k.addf(path, "the keys '%s' and '%s' have the same secret; give each its own", other, key.Name)
		}
		secrets[text] = key.Name
	}
	for _, route := range key.Routes {
		if !slices.Contains(keyRoutes, route) {
			k.addf(path, "the key '%s' is for the route '%s', which there is not; routes are %s", key.Name, route, strings.Join(keyRoutes, ", "))
		}
	}
	for _, name := range key.Models {
		_, model := k.Models[name]
		_, alias := k.Aliases[name]
		if !model && !alias && k.StrictModels && !strings.HasSuffix(name, "*") {
			k.addf(path, "the key '%s' may ask for the model '%s', which there is not; write one of the models or aliases", key.Name, name)
		}
	}
}
