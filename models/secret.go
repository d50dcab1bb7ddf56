package models

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// SecretKey encrypts what must not be readable in the database or its backups:
// RCON passwords and Steam logins. It is 32 bytes that come from the
// environment or from a file only the service can read.
type SecretKey struct{ aead cipher.AEAD }

// NewSecretKey makes a random key in the form that ParseSecretKey reads.
func NewSecretKey() string {
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // never fails: crypto/rand crashes the program instead
	return base64.StdEncoding.EncodeToString(raw)
}

// ParseSecretKey reads 32 bytes in base64. The error never shows the key.
func ParseSecretKey(s string) (*SecretKey, error) {
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(s))
	if err != nil || len(raw) != 32 {
		return nil, errors.New("the secret key must be 32 bytes in base64; make one with: openssl rand -base64 32")
	}
	block, err := aes.NewCipher(raw)
	if err != nil {
		return nil, fmt.Errorf("secret key: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("secret key: %w", err)
	}
	return &SecretKey{aead: aead}, nil
}

// sealed values carry a version, so that the scheme can change later.
const sealedV1 = "v1:"

// Seal encrypts a secret for one place: owner is the row and column it belongs
// to, and the result opens nowhere else.
func (k *SecretKey) Seal(owner, secret string) string {
	nonce := make([]byte, k.aead.NonceSize())
	_, _ = rand.Read(nonce) // never fails
	return sealedV1 + base64.RawStdEncoding.EncodeToString(k.aead.Seal(nonce, nonce, []byte(secret), []byte(owner)))
}

// Open decrypts what Seal made for the same owner.
func (k *SecretKey) Open(owner, sealed string) (string, error) {
	raw, err := base64.RawStdEncoding.DecodeString(strings.TrimPrefix(sealed, sealedV1))
	if err != nil || !strings.HasPrefix(sealed, sealedV1) || len(raw) < k.aead.NonceSize() {
		return "", errors.New("a stored secret is damaged")
	}
	n := k.aead.NonceSize()
	plain, err := k.aead.Open(nil, raw[:n], raw[n:], []byte(owner))
	if err != nil {
		return "", errors.New("a stored secret cannot be opened: the secret key is not the one it was stored with")
	}
	return string(plain), nil
}
