package webui

import "github.com/alexedwards/argon2id"

// PasswordFits says whether a stored hash is the password's. It is for start-up,
// where the operator names the admin's password; sign-in has its own way, which
// takes the same time for names that do not exist.
func PasswordFits(hash, password string) bool {
	fits, err := argon2id.ComparePasswordAndHash(password, hash)
	return err == nil && fits
}
