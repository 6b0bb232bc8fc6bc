package gateway

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/runestone-gateway/runestone/keys"
)

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
			k.addf(path+fieldOf(strings.TrimPrefix(err.Error(), fmt.Sprintf("%v %s: ", keys.ErrInvalid, key.Name))), "%v", err)
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
		k.addf("keys"+fieldOf(err.Error()), "%v", err)
	}
	k.limitedModels("keys", "keys", c.ModelLimits)
}

// fieldOf returns the path of the field that an error is about, which names it first: limits.requests of
// "limits: requests: n is 0; ...".
func fieldOf(text string) string {
	name, rest, nested := strings.Cut(text, ": ")
	if nested && !strings.ContainsAny(name, ` "`) {
		return "." + name + fieldOf(rest)
	}
	words := strings.SplitN(text, " ", 3)
	if words[0] == "secret" && len(words) > 1 { // by number
		return "." + words[0] + " " + words[1]
	}
	return "." + words[0]
}

// limitedModels checks that there are the models that have limits of their own.
func (k *checker) limitedModels(path, what string, limits map[string]*keys.Limits) {
	for _, model := range slices.Sorted(maps.Keys(limits)) {
		if !k.served(model) {
			k.addf(path+".model_limits", "%s has model_limits for '%s', which there is not; write one of the models or aliases", what, model)
		}
	}
}

// served reports whether a client may ask for a model of that name.
func (k *checker) served(name string) bool {
	_, model := k.Models[name]
	_, alias := k.Aliases[name]
	return model || alias || !k.StrictModels
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
	for _, name := range key.Models {
		if !k.served(name) && !strings.HasSuffix(name, "*") {
			k.addf(path+".models", "the key '%s' may ask for the model '%s', which there is not; write one of the models or aliases", key.Name, name)
		}
	}
	k.limitedModels(path, "the key '"+key.Name+"'", key.ModelLimits)
}
