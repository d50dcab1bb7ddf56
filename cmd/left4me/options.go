package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"github.com/uptrace/bun"

	"left4me/internal/embedded"
	"left4me/models"
)

// The options below mean the same in every command that has them, by flag and by
// environment variable.

type logOptions struct {
	LogFormat string `enum:"auto,text,json" default:"auto" env:"LEFT4ME_LOG_FORMAT" help:"How to log: text, json, or auto for text on a terminal."`
	LogLevel  string `enum:"debug,info,warn,error" default:"info" env:"LEFT4ME_LOG_LEVEL" help:"What to log from."`
}

type slowOptions struct {
	SlowQuery time.Duration `default:"200ms" env:"LEFT4ME_SLOW_QUERY" help:"Log database statements that take as long, without their values; 0 logs none."`
}

func (o logOptions) logger(c *console) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(o.LogLevel)) // kong checked it
	options := &slog.HandlerOptions{Level: level}
	text := o.LogFormat == "text"
	if f, ok := c.err.(*os.File); ok && o.LogFormat == "auto" {
		info, err := f.Stat()
		text = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	if text {
		return slog.New(slog.NewTextHandler(c.err, options))
	}
	return slog.New(slog.NewJSONHandler(c.err, options))
}

type storeOptions struct {
	DatabaseURL   string `env:"DATABASE_URL" placeholder:"URL" help:"PostgreSQL, as postgres://user:password@host/database. Use the environment variable: an argument list is public."`
	RedisURL      string `env:"REDIS_URL" placeholder:"URL" help:"Redis, as redis://host:6379/0. Use the environment variable where it has a password."`
	SecretKeyFile string `env:"LEFT4ME_SECRET_KEY_FILE" placeholder:"FILE" help:"File with the key that secrets in the database are encrypted with (32 bytes in base64), unless LEFT4ME_SECRET_KEY holds it."`
}

// stores are the open database and Redis.
type stores struct {
	db       *bun.DB
	redis    *redis.Client
	key      *models.SecretKey
	embedded *embedded.Redis
}

func (s *stores) close() {
	if s.embedded != nil {
		s.embedded.Close()
	} else if s.redis != nil {
		_ = s.redis.Close() // the process ends
	}
	if s.db != nil {
		_ = s.db.Close() // the process ends
	}
}

// open connects to the stores of a production setup: both must be named.
func (o storeOptions) open(ctx context.Context) (*stores, error) {
	if o.DatabaseURL == "" || o.RedisURL == "" {
		return nil, errors.New("set DATABASE_URL and REDIS_URL; to try left4me without PostgreSQL and Redis, run: left4me up")
	}
	key, err := o.secretKey("")
	if err != nil {
		return nil, err
	}
	s := &stores{key: key}
	if s.db, err = models.Open(ctx, o.DatabaseURL); err != nil {
		return nil, err
	}
	if s.redis, err = openRedis(o.RedisURL); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// openWithin connects to the named stores and puts embedded ones into the data
// folder for those that are not named.
func (o storeOptions) openWithin(ctx context.Context, data string) (*stores, error) {
	web := filepath.Join(data, "web")
	if err := os.MkdirAll(web, 0o700); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	key, err := o.secretKey(filepath.Join(web, "secret.key"))
	if err != nil {
		return nil, err
	}
	s := &stores{key: key}
	dsn := o.DatabaseURL
	if dsn == "" {
		dsn = "sqlite://" + filepath.Join(web, "left4me.db")
	}
	if s.db, err = models.Open(ctx, dsn); err != nil {
		return nil, err
	}
	if o.RedisURL != "" {
		s.redis, err = openRedis(o.RedisURL)
	} else if s.embedded, err = embedded.StartRedis(); err == nil {
		s.redis = s.embedded.Client
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// quiet drops go-redis's own log lines: it prints one for each failed dial, and
// every failure reaches us as an error that says what could not be done.
type quiet struct{}

// Printf is what go-redis asks of a logger.
func (quiet) Printf(context.Context, string, ...any) {}

func openRedis(url string) (*redis.Client, error) {
	redis.SetLogger(quiet{})
	options, err := redis.ParseURL(url)
	if err != nil {
		return nil, errors.New("REDIS_URL is not valid; it looks like redis://host:6379/0")
	}
	// The server's side of this is a cloud feature; asking for it only fills
	// the logs of a plain Redis.
	options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return redis.NewClient(options), nil
}

// secretKey reads the key from the environment or its file. With a fallback file
// it is made there when there is none.
func (o storeOptions) secretKey(fallback string) (*models.SecretKey, error) {
	if text := os.Getenv("LEFT4ME_SECRET_KEY"); text != "" {
		return models.ParseSecretKey(text)
	}
	file := o.SecretKeyFile
	if file == "" {
		file = fallback
	}
	if file == "" {
		return nil, errors.New("set LEFT4ME_SECRET_KEY or LEFT4ME_SECRET_KEY_FILE; make a key with: openssl rand -base64 32")
	}
	raw, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) && file == fallback {
		raw = []byte(models.NewSecretKey() + "\n")
		err = os.WriteFile(file, raw, 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("read the secret key: %w", err)
	}
	return models.ParseSecretKey(string(raw))
}

type hostOptions struct {
	Supervisor string `enum:"auto,systemd,rootless" default:"auto" env:"LEFT4ME_SUPERVISOR" help:"Who runs the game servers: systemd, rootless, or auto."`
	Steamcmd   string `env:"LEFT4ME_STEAMCMD" placeholder:"PATH" help:"steamcmd.sh; by default the one in the steam folder of the state root."`
	Ctl        string `name:"l4d2ctl" env:"LEFT4ME_L4D2CTL" placeholder:"PATH" help:"The l4d2ctl program; by default the one beside left4me, then the one on PATH."`

	SteamAPI      string   `name:"steam-api" env:"LEFT4ME_STEAM_API" placeholder:"URL" help:"Where Steam's Web API is, if not at Steam."`
	WorkshopHosts []string `env:"LEFT4ME_WORKSHOP_HOSTS" placeholder:"HOST:PORT" help:"Where workshop files may come from beside Steam's own hosts."`
	Mirror        string   `env:"LEFT4ME_MIRROR" placeholder:"URL" help:"A mirror that recipes fetch from instead of the original sites."`
}

// command is l4d2ctl with its environment for a state root.
func (o hostOptions) command(root string) (argv, env []string, err error) {
	path, err := beside("l4d2ctl", o.Ctl)
	if err != nil {
		return nil, nil, err
	}
	env = []string{"PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8", "HOME=" + root, "LEFT4ME_ROOT=" + root, "LEFT4ME_SUPERVISOR=" + o.Supervisor}
	if o.Steamcmd != "" {
		env = append(env, "LEFT4ME_STEAMCMD="+o.Steamcmd)
	}
	if o.SteamAPI != "" {
		env = append(env, "LEFT4ME_STEAM_API="+o.SteamAPI)
	}
	if len(o.WorkshopHosts) > 0 {
		env = append(env, "LEFT4ME_WORKSHOP_HOSTS="+strings.Join(o.WorkshopHosts, ","))
	}
	if o.Mirror != "" {
		env = append(env, "LEFT4ME_MIRROR="+o.Mirror)
	}
	return []string{path}, env, nil
}

// ownFolder is the folder this program lies in.
func ownFolder() string {
	self, err := os.Executable()
	if err != nil {
		return "/usr/bin"
	}
	return filepath.Dir(strings.TrimSuffix(self, " (deleted)"))
}

// beside finds one of our programs: where it was said to be, in the folder of
// this one, or on PATH.
func beside(name, said string) (string, error) {
	candidates := []string{said}
	if said == "" {
		candidates = []string{filepath.Join(ownFolder(), name)}
		for dir := range strings.SplitSeq(os.Getenv("PATH"), ":") {
			candidates = append(candidates, filepath.Join(dir, name))
		}
	}
	for _, path := range candidates {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 && filepath.IsAbs(path) {
			return path, nil
		}
	}
	return "", fmt.Errorf("the program %s was not found beside left4me (%s) or on PATH; run `make build`", name, ownFolder())
}
