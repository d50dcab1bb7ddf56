package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/uptrace/bun"
	"golang.org/x/term"

	"left4me/models"
	"left4me/webui"
)

type userCommand struct {
	Add    userAdd    `cmd:"" help:"Add a user."`
	Passwd userPasswd `cmd:"" help:"Set a user's password. It ends all their sessions."`
}

// userOptions name the database: DATABASE_URL, or the one in a data folder of
// `left4me up`.
type userOptions struct {
	dataOptions
	DatabaseURL string `env:"DATABASE_URL" placeholder:"URL" help:"PostgreSQL; without it the database in the data folder is used."`
	logOptions
}

func (o *userOptions) open(ctx context.Context, c *console) (*bun.DB, error) {
	s := storeOptions{DatabaseURL: o.DatabaseURL}
	if s.DatabaseURL == "" {
		data, err := o.enter()
		if err != nil {
			return nil, err
		}
		s.DatabaseURL = embeddedDatabase(data)
	}
	db, err := models.Open(ctx, s.DatabaseURL)
	if err != nil {
		return nil, err
	}
	return db, models.Migrate(ctx, db, o.logger(c))
}

type userAdd struct {
	Name  string `arg:"" help:"The name to sign in with."`
	Admin bool   `help:"May install the game and see everything that runs."`
	userOptions
}

// Run asks for the password and adds the user.
func (u *userAdd) Run(ctx context.Context, c *console) error {
	db, err := u.open(ctx, c)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }() // the process ends
	if err := models.CheckUserName(u.Name); err != nil {
		return err
	}
	hash, err := askPassword(c)
	if err != nil {
		return err
	}
	if _, err := models.CreateUser(ctx, db, u.Name, hash, u.Admin); errors.Is(err, models.ErrTaken) {
		return fmt.Errorf("there is a user %s already; to set their password: left4me user passwd %s", u.Name, u.Name)
	} else if err != nil {
		return err
	}
	c.say("Added %s.", u.Name)
	return nil
}

type userPasswd struct {
	Name string `arg:"" help:"Whose password."`
	userOptions
}

// Run asks for the password and stores it.
func (u *userPasswd) Run(ctx context.Context, c *console) error {
	db, err := u.open(ctx, c)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }() // the process ends
	row, err := models.UserByName(ctx, db, u.Name)
	if errors.Is(err, models.ErrNotFound) {
		return fmt.Errorf("there is no user %s; to add one: left4me user add %s", u.Name, u.Name)
	} else if err != nil {
		return err
	}
	hash, err := askPassword(c)
	if err != nil {
		return err
	}
	if err := models.SetPassword(ctx, db, row.ID, hash, ""); err != nil {
		return err
	}
	c.say("The password of %s is set and their sessions have ended.", row.Name)
	return nil
}

// askPassword takes the password from LEFT4ME_ADMIN_PASSWORD, from a terminal
// without echo, or from the first line of standard input, and hashes it.
func askPassword(c *console) (string, error) {
	password := os.Getenv("LEFT4ME_ADMIN_PASSWORD")
	switch {
	case password != "":
	case term.IsTerminal(int(os.Stdin.Fd())):
		_, _ = fmt.Fprint(c.err, "Password: ") // a prompt
		raw, err := term.ReadPassword(int(os.Stdin.Fd()))
		_, _ = fmt.Fprintln(c.err)
		if err != nil {
			return "", fmt.Errorf("read the password: %w", err)
		}
		password = string(raw)
	default:
		line, err := bufio.NewReader(os.Stdin).ReadString('\n')
		if err != nil && line == "" {
			return "", errors.New("no password given: type it on a terminal, pipe it in, or set LEFT4ME_ADMIN_PASSWORD")
		}
		password = strings.TrimRight(line, "\r\n")
	}
	if err := webui.CheckPassword(password); err != nil {
		return "", err
	}
	return webui.HashPassword(password)
}
