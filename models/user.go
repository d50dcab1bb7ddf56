package models

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/uptrace/bun"
)

// User is somebody who may sign in.
type User struct {
	bun.BaseModel `bun:"table:users"`

	ID                string    `bun:"id,pk"`
	Name              string    `bun:"name"`
	PasswordHash      string    `bun:"password_hash"` // PHC string
	Admin             bool      `bun:"admin"`
	Active            bool      `bun:"active"`
	CreatedAt         time.Time `bun:"created_at"`
	PasswordChangedAt time.Time `bun:"password_changed_at"`
}

var userName = regexp.MustCompile(`\A[A-Za-z0-9][A-Za-z0-9._-]{0,31}\z`)

// CheckUserName refuses what is not 1 to 32 of A-Z, a-z, 0-9, '.', '_', '-'.
func CheckUserName(name string) error {
	if !userName.MatchString(name) {
		return Invalid("name", "A user name is 1 to 32 letters, digits, '.', '_' or '-', beginning with a letter or digit.")
	}
	return nil
}

// CreateUser inserts a user. ErrTaken when the name is used, in any case.
func CreateUser(ctx context.Context, db bun.IDB, name, passwordHash string, admin bool) (*User, error) {
	if err := CheckUserName(name); err != nil {
		return nil, err
	}
	now := Now()
	u := &User{ID: NewID(), Name: name, PasswordHash: passwordHash, Admin: admin, Active: true, CreatedAt: now, PasswordChangedAt: now}
	if _, err := db.NewInsert().Model(u).Exec(ctx); err != nil {
		return nil, fmt.Errorf("create user %s: %w", name, violation(err))
	}
	return u, nil
}

// UserByName finds a user, active or not, whatever the case of the name.
func UserByName(ctx context.Context, db bun.IDB, name string) (*User, error) {
	u := new(User)
	err := db.NewSelect().Model(u).Where("lower(name) = ?", strings.ToLower(name)).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("user by name: %w", found(err))
	}
	return u, nil
}

// CountUsers counts all users.
func CountUsers(ctx context.Context, db bun.IDB) (int, error) {
	n, err := db.NewSelect().Model((*User)(nil)).Count(ctx)
	return int(n), err
}

// SetPassword stores a new hash and ends every session of the user but keep
// (a session id, or "" to end all).
func SetPassword(ctx context.Context, db bun.IDB, userID, passwordHash, keep string) error {
	return db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		res, err := tx.NewUpdate().Model((*User)(nil)).Set("password_hash = ?", passwordHash).
			Set("password_changed_at = ?", Now()).Where("id = ?", userID).Exec(ctx)
		if err := oneRow(res, err); err != nil {
			return fmt.Errorf("set password: %w", err)
		}
		return EndSessions(ctx, tx, userID, keep)
	})
}

// RehashPassword stores the same password's hash under new cost settings. It ends no
// session. ErrConflict when u has another password meanwhile, or is gone.
func RehashPassword(ctx context.Context, db bun.IDB, u *User, passwordHash string) error {
	res, err := db.NewUpdate().Model((*User)(nil)).Set("password_hash = ?", passwordHash).
		Where("id = ? AND password_hash = ?", u.ID, u.PasswordHash).Exec(ctx)
	if err := oneRow(res, err); err != nil {
		return fmt.Errorf("rehash password: %w", err)
	}
	u.PasswordHash = passwordHash
	return nil
}

// Unchanged is nil when u is still active and has the password that they had when they
// were read, and makes whoever changes that wait until the transaction ends. To check a
// password takes a while: what it opens is decided by this, in the transaction that
// opens it. ErrConflict otherwise.
func (u *User) Unchanged(ctx context.Context, tx bun.IDB) error {
	res, err := tx.NewUpdate().Model((*User)(nil)).Set("active = active").
		Where("id = ? AND active AND password_hash = ?", u.ID, u.PasswordHash).Exec(ctx)
	if err := oneRow(res, err); err != nil {
		return fmt.Errorf("look again at user %s: %w", u.Name, err)
	}
	return nil
}
