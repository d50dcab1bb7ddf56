package webui

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"
	"unicode/utf8"

	"github.com/alexedwards/argon2id"

	"left4me/models"
)

// Bounds of a password. The upper one keeps hashing from being made to work on
// a megabyte.
const (
	minPassword = 10  // characters
	maxPassword = 512 // bytes
)

// hashing takes 19 MiB and about 25 ms of one core.
var hashing = argon2id.Params{Memory: 19 << 10, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}

// strangerHash belongs to nobody and matches no password that can be known. It
// is checked for names that do not exist, so that time does not tell which do.
const strangerHash = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5LWhhcy10aGlzIQ$" + "Zm9yIG5hbWVzIHRoYXQgZG8gbm90IGV4aXN0LCBhbHM"

// CheckPassword refuses a password that is too short or too long with an
// InvalidError of field "password".
func CheckPassword(password string) error {
	if utf8.RuneCountInString(password) < minPassword {
		return models.Invalid("password", fmt.Sprintf("The password is too short: use at least %d characters. A few words in a row are good.", minPassword))
	}
	if len(password) > maxPassword {
		return models.Invalid("password", fmt.Sprintf("The password is too long: use at most %d characters.", maxPassword))
	}
	return nil
}

// HashPassword returns a password's argon2id hash as a PHC string. Whether the
// password is a good one is CheckPassword's to say.
func HashPassword(password string) (string, error) {
	hash, err := argon2id.CreateHash(password, &hashing)
	if err != nil {
		return "", fmt.Errorf("hash the password: %w", err)
	}
	return hash, nil
}

// passwords bounds how many are hashed at once: each takes memory and a core.
type passwords struct {
	slots chan struct{}
	tidy  *time.Timer
}

// tidyAfter is how long after the last hash its memory is given back. Go would
// keep it for minutes, and it is more than everything else at rest.
const tidyAfter = 3 * time.Second

func newPasswords() *passwords {
	return &passwords{slots: make(chan struct{}, 4), tidy: time.AfterFunc(tidyAfter, debug.FreeOSMemory)}
}

// do runs f in a slot, or gives up when ctx ends first.
func (p *passwords) do(ctx context.Context, f func() error) error {
	select {
	case p.slots <- struct{}{}:
		defer func() {
			<-p.slots
			p.tidy.Reset(tidyAfter)
		}()
		return f()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (p *passwords) hash(ctx context.Context, password string) (hash string, err error) {
	err = p.do(ctx, func() error {
		hash, err = HashPassword(password)
		return err
	})
	return hash, err
}

// verify says whether the password belongs to u, taking the same time when u is
// nil. stale means that the hash was made under other settings than today's.
func (p *passwords) verify(ctx context.Context, u *models.User, password string) (ok, stale bool, err error) {
	hash := strangerHash
	if u != nil {
		hash = u.PasswordHash
	}
	if len(password) > maxPassword {
		password = "" // matches nothing, and costs the same as any other
	}
	err = p.do(ctx, func() error {
		match, params, err := argon2id.CheckHash(password, hash)
		if err != nil { // a stored hash that is none locks its user out, in the same time
			_, _, err = argon2id.CheckHash(password, strangerHash)
			return err
		}
		ok, stale = match && u != nil, *params != hashing
		return nil
	})
	return ok, stale, err
}

var errWrongPassword = errors.New("the name and the password do not belong together")

// authenticate finds the active user with this name and password, or returns
// errWrongPassword, whichever of the two is wrong.
func (s *Server) authenticate(ctx context.Context, name, password string) (*models.User, error) {
	u, err := models.UserByName(ctx, s.DB, clip(name, 64))
	if err != nil && !errors.Is(err, models.ErrNotFound) {
		return nil, err
	}
	ok, stale, err := s.passwords.verify(ctx, u, password)
	switch {
	case err != nil:
		return nil, err
	case !ok || !u.Active:
		return nil, errWrongPassword
	}
	if stale {
		s.rehash(ctx, u, password)
	}
	return u, nil
}

// rehash brings a stored hash to today's settings. That it fails is no reason to
// keep somebody out.
func (s *Server) rehash(ctx context.Context, u *models.User, password string) {
	hash, err := s.passwords.hash(ctx, password)
	if err == nil {
		err = models.RehashPassword(ctx, s.DB, u, hash)
	}
	if err != nil {
		s.Log.WarnContext(ctx, "could not renew a password hash", "user", u.ID, "err", err)
	}
}
