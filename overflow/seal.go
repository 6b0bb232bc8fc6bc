package overflow

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// minSecret is the fewest bytes of a secret to encrypt with.
const minSecret = 16

// What is sealed begins with a byte that says how.
const (
	sealPlain = 0 // as it came
	// sealGCM: the ID of the key, a salt, and what AES-256-GCM makes of the
	// rest: nonce, ciphertext and tag.
	sealGCM = 1
)

const (
	keyIDSize = 4
	saltSize  = 16
	// sealOverhead is how much longer than its content an encrypted message is, in bytes.
	sealOverhead = 1 + keyIDSize + saltSize + 12 + 16
)

var (
	// errNoKey: what is sealed can be opened, but not with this configuration.
	errNoKey = errors.New("it is encrypted with a secret that is not configured: add that to encrypt")
	// errSealBroken: what is sealed cannot be opened by anybody.
	errSealBroken = errors.New("it cannot be decrypted: it is damaged, or belongs elsewhere")
)

// sealer encrypts what is stored, and decrypts it again. A nil sealer stores things
// as they come. Its methods are safe for concurrent use.
//
// Each message has a key of its own, derived with a random salt, because under one
// key AES-GCM with random nonces is safe for no more than 2^32 messages, which a busy queue
// of streams reaches within weeks. As it is, salt and nonce are 28 random bytes, and
// no number of messages is a concern.
//
// It keeps what is stored from being read. Since a message may also be plain, as those are that
// were stored before encryption was turned on, it does not keep one who can
// write to the queue from putting something else there.
type sealer struct {
	keys []sealKey // the first encrypts
}

type sealKey struct {
	id  []byte
	prk []byte // HKDF's pseudorandom key, from which the others are expanded
}

// newSealer returns a sealer that encrypts with the first secret and decrypts with
// any, or nil if there are none. Placeholders are resolved. An error names no secret.
func newSealer(secrets []string) (*sealer, error) {
	secrets, err := resolveSecrets("encrypt", secrets)
	if err != nil || len(secrets) == 0 {
		return nil, err
	}
	s := new(sealer)
	for i, secret := range secrets {
		if len(secret) < minSecret {
			return nil, fmt.Errorf("encrypt[%d] is %d bytes long; write at least %d, such as what `openssl rand -base64 32` prints", i, len(secret), minSecret)
		}
		prk, err := hkdf.Extract(sha256.New, []byte(secret), []byte("runestone overflow"))
		if err != nil {
			return nil, fmt.Errorf("encrypt[%d]: %w", i, err)
		}
		s.keys = append(s.keys, sealKey{id: expand(prk, "key id", keyIDSize), prk: prk})
	}
	return s, nil
}

// expand derives size bytes for a purpose.
func expand(prk []byte, purpose string, size int) []byte {
	key, _ := hkdf.Expand(sha256.New, prk, purpose, size) // fails above 8160 bytes only
	return key
}

// gcm returns the cipher of the message with this salt. Its nonces are its own affair.
func (k *sealKey) gcm(salt []byte) cipher.AEAD {
	block, _ := aes.NewCipher(expand(k.prk, "message "+string(salt), 32)) // fails for other sizes only
	gcm, _ := cipher.NewGCMWithRandomNonce(block)                         // fails for other ciphers only
	return gcm
}

// seal returns plain as it is to be stored. context is what open must be told to
// get it back: which job it belongs to and what it is, so that nothing is taken for
// something else.
func (s *sealer) seal(plain []byte, context string) []byte {
	if s == nil {
		return append([]byte{sealPlain}, plain...)
	}
	k := &s.keys[0]
	sealed := make([]byte, 0, len(plain)+sealOverhead)
	sealed = append(sealed, sealGCM)
	sealed = append(sealed, k.id...)
	salt := sealed[len(sealed) : len(sealed)+saltSize]
	_, _ = rand.Read(salt) // never fails
	return k.gcm(salt).Seal(sealed[:len(sealed)+saltSize], nil, plain, []byte(context))
}

// open returns what was sealed with the same context. It fails with errNoKey or
// errSealBroken. What it returns may share sealed's memory.
func (s *sealer) open(sealed []byte, context string) ([]byte, error) {
	switch {
	case len(sealed) > 0 && sealed[0] == sealPlain:
		return sealed[1:], nil
	case len(sealed) < sealOverhead || sealed[0] != sealGCM:
		return nil, errSealBroken
	case s == nil:
		return nil, errNoKey
	}
	id, rest := sealed[1:1+keyIDSize], sealed[1+keyIDSize:]
	err := errNoKey
	for _, k := range s.keys {
		if !bytes.Equal(k.id, id) {
			continue
		}
		plain, wrong := k.gcm(rest[:saltSize]).Open(nil, nil, rest[saltSize:], []byte(context))
		if wrong == nil {
			return plain, nil
		}
		err = errSealBroken
	}
	return nil, err
}

// secretName is a placeholder that may be shown.
var secretName = regexp.MustCompile(`^\{(env|file)\.[^{}]+\}$`)

// resolveSecrets returns what the secrets of a field are once placeholders are
// resolved, without the white space around them, since a file often ends in some
// that a variable does not. An error names the field but no secret.
func resolveSecrets(field string, raw []string) ([]string, error) {
	repl := caddy.NewReplacer()
	var secrets []string
	for i, text := range raw {
		secret, err := repl.ReplaceOrErr(text, true, true)
		secret = strings.TrimSpace(secret)
		same := slices.Index(secrets, secret)
		switch {
		case (err != nil || secret == "") && secretName.MatchString(text):
			return nil, fmt.Errorf("%s[%d]: %s is empty; set the variable or the file that it names", field, i, text)
		case err != nil || secret == "": // err may hold a part of the secret
			return nil, fmt.Errorf("%s[%d] is empty or has an unknown placeholder in it; write one such as {env.NAME}", field, i)
		case same >= 0:
			return nil, fmt.Errorf("%s[%d] is the same as %s[%d]; remove one", field, i, field, same)
		}
		secrets = append(secrets, secret)
	}
	return secrets, nil
}
