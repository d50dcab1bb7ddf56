package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/uptrace/bun"

	"left4me/hostops/privilege"
	"left4me/models"
	"left4me/webui"
)

type dataOptions struct {
	Data string `env:"LEFT4ME_DATA" placeholder:"DIR" help:"Folder for everything: game, servers, database. Default: /var/lib/left4me as root, else ~/.local/share/left4me; with --demo both end in -demo."`
	User string `env:"LEFT4ME_USER" placeholder:"NAME" help:"Who to become when started as root. Default: the owner of the data folder, else left4me, else nobody."`
	demo bool
}

// enter makes the data folder and, as root, becomes its unprivileged owner for
// good: from then on nothing of left4me runs as root. It returns the folder's
// absolute path.
func (o *dataOptions) enter() (string, error) {
	data, err := o.folder()
	if err != nil {
		return "", err
	}
	if err := privilege.Drop(privilege.Options{StateRoot: data, User: o.User, Reach: []string{ownFolder()}}); err != nil {
		return "", err
	}
	if err := os.MkdirAll(data, 0o755); err != nil {
		return "", fmt.Errorf("make the data folder: %w", err)
	}
	return data, nil
}

func (o *dataOptions) folder() (string, error) {
	if o.Data != "" {
		return filepath.Abs(o.Data)
	}
	name := "left4me"
	if o.demo {
		name += "-demo"
	}
	if os.Geteuid() == 0 {
		return filepath.Join("/var/lib", name), nil
	}
	if base := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(base) {
		return filepath.Join(base, name), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", errors.New("there is no home folder to keep the data in; name one with --data DIR")
	}
	return filepath.Join(home, ".local/share", name), nil
}

func embeddedDatabase(data string) string {
	return "sqlite://" + filepath.Join(data, "web", "left4me.db")
}

type upCommand struct {
	dataOptions
	Demo bool `env:"LEFT4ME_DEMO" help:"Simulate Steam and the game, to try left4me without a 9 GB download."`
	storeOptions
	hostOptions
	siteOptions
	logOptions
	slowOptions
}

// Run starts everything and serves until it is told to stop. Game servers that
// it started keep running afterwards.
func (u *upCommand) Run(ctx context.Context, c *console) error {
	u.demo = u.Demo
	if os.Geteuid() == 0 && u.Data == "" {
		// The folder must be the same before and after root is given up.
		data, err := u.folder()
		if err != nil {
			return err
		}
		if err := os.Setenv("LEFT4ME_DATA", data); err != nil {
			return err
		}
	}
	data, err := u.enter()
	if err != nil {
		return err
	}
	lock, err := lockData(data)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }() // the lock goes with it
	l, err := u.listen(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = l.Close() }() // Serve has closed it, or nothing was served
	log := u.logger(c)
	s, err := u.openWithin(ctx, data)
	if err != nil {
		return err
	}
	defer s.close()
	if err := models.Migrate(ctx, s.db, log); err != nil {
		return err
	}
	s.db = models.WithSlowLog(s.db, log, u.SlowQuery)
	parts := []func(context.Context) error{func(ctx context.Context) error { return u.serve(ctx, l, s, newContent(data, log), log) }}
	if u.Demo {
		steam, err := startDemo(ctx, data)
		if err != nil {
			return err
		}
		defer steam.end()
		u.hostOptions = steam.options(u.hostOptions)
		parts = append(parts, steam.wait)
	}
	name, password, err := firstAdmin(ctx, s.db)
	if err != nil {
		return err
	}
	greet(c, "http://"+l.Addr().String(), data, name, password, u.Demo)
	return runAll(ctx, append(parts, func(ctx context.Context) error { return work(ctx, s, u.hostOptions, data, log) })...)
}

// runAll ends all when one ends, and waits for all.
func runAll(ctx context.Context, parts ...func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, len(parts))
	var all sync.WaitGroup
	for i, part := range parts {
		all.Go(func() {
			defer cancel()
			errs[i] = part(ctx)
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// lockData keeps a second `left4me up` off the same folder.
func lockData(data string) (*os.File, error) {
	web := filepath.Join(data, "web")
	if err := os.MkdirAll(web, 0o700); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(web, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the data folder: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close() // nothing was written
		return nil, fmt.Errorf("left4me is running with the data folder %s already; stop it, or choose another with --data", data)
	}
	return f, nil
}

const adminName = "admin"

// firstAdmin makes sure that somebody can sign in. LEFT4ME_ADMIN_PASSWORD is
// given to the admin at every start; without it an empty database gets a random
// password, which is returned to be shown once.
func firstAdmin(ctx context.Context, db *bun.DB) (name, shown string, err error) {
	wanted := os.Getenv("LEFT4ME_ADMIN_PASSWORD")
	users, err := models.CountUsers(ctx, db)
	if err != nil {
		return "", "", err
	}
	if wanted == "" && users > 0 {
		return adminName, "", nil
	}
	password := wanted
	if password == "" {
		password = strings.ToLower(rand.Text()[:16])
		shown = password
	}
	admin, err := models.UserByName(ctx, db, adminName)
	known := err == nil
	if err != nil && !errors.Is(err, models.ErrNotFound) {
		return "", "", err
	}
	if known && webui.PasswordFits(admin.PasswordHash, password) {
		return adminName, "", nil
	}
	hash, err := webui.HashPassword(password)
	if err != nil {
		return "", "", err
	}
	if known {
		err = models.SetPassword(ctx, db, admin.ID, hash, "")
	} else {
		_, err = models.CreateUser(ctx, db, adminName, hash, true)
	}
	return adminName, shown, err
}

func greet(c *console, address, data, name, password string, demo bool) {
	c.say("")
	c.say("  left4me is running at %s", address)
	switch {
	case password != "":
		c.say("  Sign in as %s with the password %s (shown only now).", name, password)
	case os.Getenv("LEFT4ME_ADMIN_PASSWORD") != "":
		c.say("  Sign in as %s with the password from LEFT4ME_ADMIN_PASSWORD.", name)
		if err := webui.CheckPassword(os.Getenv("LEFT4ME_ADMIN_PASSWORD")); err != nil {
			c.say("  Change it before others can reach this site. %s", err)
		}
	default:
		c.say("  Sign in as %s. Forgotten the password? Set a new one: left4me user passwd %s --data %s", name, name, data)
	}
	c.say("  Everything is kept in %s.", data)
	if demo {
		greetDemo(c)
	}
	c.say("  Ctrl+C stops left4me; game servers keep running.")
	c.say("")
}
