package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/redis/go-redis/v9"
	"github.com/uptrace/bun"
	"golang.org/x/term"

	"left4me/jobs"
	"left4me/models"
	"left4me/webui"
)

type userCommand struct {
	List       userList       `cmd:"" help:"List the users."`
	Add        userAdd        `cmd:"" help:"Add a user."`
	Passwd     userPasswd     `cmd:"" help:"Set a user's password. It ends all their sessions."`
	Admin      userAdmin      `cmd:"" help:"Give or take an administrator's rights."`
	Deactivate userDeactivate `cmd:"" help:"Keep a user out: their sessions end, their waiting jobs are cancelled, nothing of theirs is deleted."`
	Activate   userActivate   `cmd:"" help:"Let a user in again."`
	Delete     userDelete     `cmd:"" help:"Delete a user who owns nothing. Their jobs and audit lines stay."`
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

// peopleOptions also name Redis, through which open pages learn at once that a
// user's rights changed. Without it they do within ten seconds.
type peopleOptions struct {
	userOptions
	RedisURL string `env:"REDIS_URL" placeholder:"URL" help:"Redis; without it open pages notice a change within ten seconds, not at once."`
}

// people is the open stores of a command about users.
type people struct {
	db    *bun.DB
	redis *redis.Client // nil for none
	jobs  *jobs.Client
}

func (p *people) close() {
	if p.redis != nil {
		_ = p.redis.Close() // the process ends
	}
	_ = p.db.Close() // the process ends
}

func (o *peopleOptions) openPeople(ctx context.Context, c *console) (*people, error) {
	p := &people{}
	var err error
	if p.db, err = o.open(ctx, c); err != nil {
		return nil, err
	}
	if o.RedisURL != "" {
		if p.redis, err = openRedis(o.RedisURL); err != nil {
			p.close()
			return nil, err
		}
	}
	p.jobs = jobs.NewClient(p.db, p.redis, o.logger(c))
	return p, nil
}

// find is the user of that name, or the sentence that there is none.
func (p *people) find(ctx context.Context, name string) (*models.User, error) {
	u, err := models.UserByName(ctx, p.db, name)
	if errors.Is(err, models.ErrNotFound) {
		return nil, fmt.Errorf("there is no user %s; to see who there is: left4me user list", name)
	}
	return u, err
}

// operator is who the audit log names for what is done here. No user can have this
// name.
var operator = models.Actor{Name: "(host)"}

type userAdd struct {
	Name  string `arg:"" help:"The name to sign in with."`
	Admin bool   `help:"May install the game, add users and see everything that runs."`
	peopleOptions
}

// Run asks for the password and adds the user.
func (u *userAdd) Run(ctx context.Context, c *console) error {
	p, err := u.openPeople(ctx, c)
	if err != nil {
		return err
	}
	defer p.close()
	if err := models.CheckUserName(u.Name); err != nil {
		return err
	}
	hash, err := askPassword(c)
	if err != nil {
		return err
	}
	if _, err := p.jobs.CreateUser(ctx, operator, u.Name, hash, u.Admin); errors.Is(err, models.ErrTaken) {
		return fmt.Errorf("there is a user %s already; to set their password: left4me user passwd %s", u.Name, u.Name)
	} else if err != nil {
		return err
	}
	c.say("Added %s.", u.Name)
	return nil
}

type userPasswd struct {
	Name string `arg:"" help:"Whose password."`
	peopleOptions
}

// Run asks for the password and stores it.
func (u *userPasswd) Run(ctx context.Context, c *console) error {
	p, err := u.openPeople(ctx, c)
	if err != nil {
		return err
	}
	defer p.close()
	row, err := p.find(ctx, u.Name)
	if err != nil {
		return err
	}
	hash, err := askPassword(c)
	if err != nil {
		return err
	}
	if err := p.jobs.ResetPassword(ctx, operator, row.ID, hash); err != nil {
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
