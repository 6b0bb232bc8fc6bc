package keys

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"hash/crc32"
	"math/big"
	"net/http"
	"strings"
)

// Secrets that we make are rs_, then 256 random bits as 43 characters, then the CRC-32 of all that as
// 6, both in base 62. So a scanner that looks for secrets in public places finds
//
//	\brs_[0-9A-Za-z]{49}\b
//
// and knows by the sum, offline, which of these are more than they seem.
const (
	secretPrefix = "rs_"
	randomLen    = 43 // 62^43 > 2^256
	sumLen       = 6  // 62^6 > 2^32
	alphabet     = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// Plaintext is a secret in the clear. Whatever prints, logs or encodes it gets
// "[secret]"; only Reveal returns it.
type Plaintext struct{ text *string } // a pointer is followed by no verb of fmt

// Reveal returns the secret.
func (p Plaintext) Reveal() string {
	if p.text == nil {
		return ""
	}
	return *p.text
}

// String returns "[secret]".
func (Plaintext) String() string { return "[secret]" }

// GoString is String.
func (p Plaintext) GoString() string { return p.String() }

// MarshalText is String.
func (p Plaintext) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// NewSecret returns a new secret.
func NewSecret() Plaintext {
	var random [32]byte
	_, _ = rand.Read(random[:]) // it never fails
	text := secretPrefix + base62(new(big.Int).SetBytes(random[:]), randomLen)
	text += secretSum(text)
	return Plaintext{&text}
}

// IsSecret reports whether a text has the form of a secret of [NewSecret], its sum
// included. It says nothing of whether anything accepts it.
func IsSecret(text string) bool {
	if len(text) != len(secretPrefix)+randomLen+sumLen || !strings.HasPrefix(text, secretPrefix) {
		return false
	}
	body, sum := text[:len(text)-sumLen], text[len(text)-sumLen:]
	return strings.Trim(body[len(secretPrefix):], alphabet) == "" && sum == secretSum(body)
}

func secretSum(text string) string {
	return base62(new(big.Int).SetUint64(uint64(crc32.ChecksumIEEE([]byte(text)))), sumLen)
}

// base62 writes a number with leading zeros.
func base62(n *big.Int, length int) string {
	text := make([]byte, length)
	base, rest := big.NewInt(int64(len(alphabet))), new(big.Int)
	for i := length - 1; i >= 0; i-- {
		n.DivMod(n, base, rest)
		text[i] = alphabet[rest.Int64()]
	}
	return string(text)
}

// digest is the SHA-256 of a secret.
type digest [sha256.Size]byte

// String returns the fingerprint.
func (d digest) String() string { return d.fingerprint() }

// GoString returns the fingerprint.
func (d digest) GoString() string { return d.fingerprint() }

// digestOf allocates nothing for a secret of usual length.
func digestOf(secret string) digest {
	var buffer [128]byte
	return sha256.Sum256(append(buffer[:0], secret...))
}

// fingerprint returns what tells secrets apart in lists and logs, "fp_" and ten hexadecimal digits. It is made of
// the hash of the hash, so that it gives nothing away of what is stored or sent.
func (d digest) fingerprint() string {
	sum := sha256.Sum256(append([]byte("runestone fingerprint\x00"), d[:]...))
	return "fp_" + hex.EncodeToString(sum[:5])
}

// maxPresented is the longest secret that is looked at, in bytes.
const maxPresented = 1024

// Presented returns the secret with which a request came: of Authorization with the scheme
// Bearer, else of X-Api-Key. It is "" if there is none, or two in one field: no more than one of them
// would be checked.
func Presented(h http.Header) string {
	if v := h["Authorization"]; len(v) > 0 {
		const bearer = "Bearer "
		if len(v[0]) > len(bearer) && strings.EqualFold(v[0][:len(bearer)], bearer) {
			return single(v, v[0][len(bearer):])
		}
	}
	if v := h["X-Api-Key"]; len(v) > 0 {
		return single(v, v[0])
	}
	return ""
}

func single(values []string, secret string) string {
	if secret = strings.TrimSpace(secret); len(values) == 1 && len(secret) <= maxPresented {
		return secret
	}
	return ""
}
