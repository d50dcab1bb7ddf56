package worker

import (
	"context"
	"fmt"

	"left4me/models"
)

// installGame tells the host of the Steam account that settings hold, if any,
// then installs or updates the game.
func installGame(ctx context.Context, a *attempt) error {
	if err := a.tellAccount(ctx); err != nil {
		return err
	}
	return a.ctl(ctx, nil, "install")
}

// checkGame asks Steam, as the account that installs use.
func checkGame(ctx context.Context, a *attempt) error {
	if err := a.tellAccount(ctx); err != nil {
		return err
	}
	return a.ctl(ctx, nil, "game", "--check")
}

// tellAccount hands the account to l4d2ctl through its standard input: it is in
// no job, no argument and no environment. An account that an operator gave to
// l4d2ctl on the host stays as long as nobody set one in the browser.
func (a *attempt) tellAccount(ctx context.Context) error {
	account, err := models.SteamAccountOf(ctx, a.w.DB, a.w.Key)
	switch {
	case err != nil:
		return &failure{code: 70, message: fmt.Sprintf("The Steam account in the settings cannot be used: %s. Type it again.", err)}
	case account == nil:
		return nil
	case account.Name == "":
		if err := a.ctl(ctx, nil, "steam", "logout"); err != nil {
			return err
		}
		return models.SteamAccountForgotten(ctx, a.w.DB)
	}
	a.mu.Lock()
	a.mask = account.Password
	a.mu.Unlock()
	return a.ctl(ctx, []byte(account.Name+"\n"+account.Password+"\n"), "steam", "login")
}
