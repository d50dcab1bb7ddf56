package testenv

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/uptrace/bun"

	"left4me/models"
)

// Stores is a migrated database and a Redis.
type Stores struct {
	Name   string
	DSN    string
	DB     *bun.DB
	Redis  *redis.Client
	Server *RedisServer // nil for the embedded one
}

// EachPair runs test once on PostgreSQL and Redis and once on the embedded pair:
// what holds on one must hold on the other.
func EachPair(t *testing.T, test func(t *testing.T, s Stores)) {
	t.Run("postgres+redis", func(t *testing.T) { test(t, ServerPair(t)) })
	t.Run("sqlite+miniredis", func(t *testing.T) { test(t, EmbeddedPair(t)) })
}

// ServerPair is PostgreSQL and Redis.
func ServerPair(t testing.TB) Stores {
	t.Helper()
	r := Redis(t)
	dsn := Postgres(t)
	return Stores{Name: "postgres+redis", DSN: dsn, DB: open(t, dsn), Redis: r.Client, Server: r}
}

// EmbeddedPair is SQLite and miniredis.
func EmbeddedPair(t testing.TB) Stores {
	t.Helper()
	dsn := "sqlite://" + filepath.Join(t.TempDir(), "test.db")
	return Stores{Name: "sqlite+miniredis", DSN: dsn, DB: open(t, dsn), Redis: EmbeddedRedis(t)}
}

// EachDB runs test on both databases.
func EachDB(t *testing.T, test func(t *testing.T, db *bun.DB)) {
	t.Run("postgres", func(t *testing.T) { test(t, open(t, Postgres(t))) })
	t.Run("sqlite", func(t *testing.T) { test(t, open(t, "sqlite://"+filepath.Join(t.TempDir(), "test.db"))) })
}

func open(t testing.TB, dsn string) *bun.DB {
	t.Helper()
	ctx := context.Background()
	db, err := models.Open(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() }) // a test's database
	if err := models.Migrate(ctx, db, Log()); err != nil {
		t.Fatal(err)
	}
	return db
}

// Log is a logger for tests: silent unless LEFT4ME_TEST_LOG is set.
func Log() *slog.Logger {
	out := io.Discard
	if os.Getenv("LEFT4ME_TEST_LOG") != "" {
		return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return slog.New(slog.NewTextHandler(out, nil))
}
