package models

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/uptrace/bun"
)

// setting is one named value of the whole installation.
type setting struct {
	bun.BaseModel `bun:"table:settings"`

	Name  string `bun:"name,pk"`
	Value string `bun:"value"`
}

// readSetting reads a value's JSON into v. ErrNotFound when it was never set.
func readSetting(ctx context.Context, db bun.IDB, name string, v any) error {
	row := new(setting)
	if err := found(db.NewSelect().Model(row).Where("name = ?", name).Scan(ctx)); err != nil {
		return err
	}
	return json.Unmarshal([]byte(row.Value), v)
}

func writeSetting(ctx context.Context, db bun.IDB, name string, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = db.NewInsert().Model(&setting{Name: name, Value: string(raw)}).
		On("CONFLICT (name) DO UPDATE").Set("value = EXCLUDED.value").Exec(ctx)
	if err != nil {
		return fmt.Errorf("store the setting %s: %w", name, violation(err))
	}
	return nil
}

const steamAccount = "steam.account"

// SteamAccount is an account that owns the game, for installs that do not work
// anonymously. One without a name says that what the host keeps is to be
// forgotten.
type SteamAccount struct {
	Name     string `json:"name"`
	Password string `json:"password"` // sealed in the database, plain in memory
}

// SteamAccountOf returns the account, or nil when none was ever set.
func SteamAccountOf(ctx context.Context, db bun.IDB, key *SecretKey) (*SteamAccount, error) {
	a := new(SteamAccount)
	err := readSetting(ctx, db, steamAccount, a)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("read the Steam account: %w", err)
	}
	if a.Name == "" {
		return a, nil
	}
	if a.Password, err = key.Open(steamAccount, a.Password); err != nil {
		return nil, fmt.Errorf("read the Steam account: %w", err)
	}
	return a, nil
}

// SetSteamAccount stores the account. The host checks it again.
func SetSteamAccount(ctx context.Context, db bun.IDB, key *SecretKey, a SteamAccount) error {
	if err := a.check(); err != nil {
		return err
	}
	a.Password = key.Seal(steamAccount, a.Password)
	return storeSteamAccount(ctx, db, a)
}

// ForgetSteamAccount removes the password at once and leaves word for the next
// install, which makes the host forget it too.
func ForgetSteamAccount(ctx context.Context, db bun.IDB) error {
	return storeSteamAccount(ctx, db, SteamAccount{})
}

// SteamAccountForgotten removes the word that ForgetSteamAccount left.
func SteamAccountForgotten(ctx context.Context, db bun.IDB) error {
	_, err := db.NewDelete().Model((*setting)(nil)).Where("name = ? AND value = ?", steamAccount, `{"name":"","password":""}`).Exec(ctx)
	return err
}

func storeSteamAccount(ctx context.Context, db bun.IDB, a SteamAccount) error {
	return writeSetting(ctx, db, steamAccount, a)
}

func (a SteamAccount) check() error {
	const limit = 128
	switch {
	case a.Name == "" || len(a.Name) > limit || strings.ContainsAny(a.Name, " \t'\"") || strings.ContainsFunc(a.Name, unicode.IsControl):
		return Invalid("name", "Type the name that the account signs in with, not the one that players see.")
	case strings.EqualFold(a.Name, "anonymous"):
		return Invalid("name", "An anonymous sign-in is what left4me tries by itself. Type the name of an account.")
	case a.Password == "" || len(a.Password) > limit:
		return Invalid("password", "Type the account's password, at most 128 characters.")
	case strings.Contains(a.Password, `"`) || strings.ContainsFunc(a.Password, unicode.IsControl):
		return Invalid("password", "steamcmd cannot be told a password with a quotation mark in it. Change it at Steam, then come back.")
	}
	return nil
}
