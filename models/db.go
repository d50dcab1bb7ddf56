// Package models holds what is true: rows, their states and the queries over
// them, one file per noun. It knows bun and SQL and nothing of HTTP, Redis or
// processes. Queries take a bun.IDB, so that the caller chooses the transaction.
//
// Two databases serve it: PostgreSQL in production and SQLite for one small
// host. They differ in this file (opening, and recognising a violated
// constraint) and nowhere else. Every time is UTC and set in Go.
package models

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	"github.com/uptrace/bun/migrate"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"left4me/models/migrations"
)

// The failures that callers tell apart.
var (
	ErrNotFound = errors.New("not found")
	// ErrConflict means that the row was not in the state the caller saw, or
	// that the change would break a rule of another row.
	ErrConflict = errors.New("conflict")
	// ErrTaken means that a name or port is used by another row.
	ErrTaken = errors.New("already taken")
	// ErrFenced means that the job is no longer this worker's to write to.
	ErrFenced = errors.New("job was taken over")
)

// Open connects to the database named by dsn, which begins with postgres:// or
// sqlite:// (an absolute path follows), and checks that it answers. The error
// never shows the password.
func Open(ctx context.Context, dsn string) (*bun.DB, error) {
	scheme, rest, _ := strings.Cut(dsn, "://")
	var db *bun.DB
	switch scheme {
	case "postgres", "postgresql":
		conf, err := pgx.ParseConfig(dsn)
		if err != nil {
			return nil, errors.New("the database address is not a valid postgres:// URL")
		}
		// bun formats the arguments itself: a statement cache would only fill up.
		conf.DefaultQueryExecMode = pgx.QueryExecModeExec
		sqldb := stdlib.OpenDB(*conf)
		sqldb.SetMaxOpenConns(16)
		sqldb.SetMaxIdleConns(8)
		sqldb.SetConnMaxIdleTime(5 * time.Minute)
		db = bun.NewDB(sqldb, postgresDialect{pgdialect.New()})
	case "sqlite":
		sqldb, err := openSQLite(rest)
		if err != nil {
			return nil, err
		}
		db = bun.NewDB(sqldb, sqliteDialect{sqlitedialect.New()})
	default:
		return nil, fmt.Errorf("the database address must begin with postgres:// or sqlite://, not %q", clip(scheme, 20))
	}
	if err := db.PingContext(ctx); err != nil {
		_ = db.Close() // it never worked; the ping's error says why
		return nil, fmt.Errorf("reach the database: %w", err)
	}
	return db, nil
}

// openSQLite opens the file with the settings measured to be safe with many
// writers: without _txlock=immediate a transaction that reads before it writes
// fails with SQLITE_BUSY_SNAPSHOT under load.
func openSQLite(path string) (*sql.DB, error) {
	q := url.Values{}
	q.Set("_txlock", "immediate")
	for _, p := range []string{"journal_mode(WAL)", "busy_timeout(5000)", "foreign_keys(1)", "synchronous(NORMAL)"} {
		q.Add("_pragma", p)
	}
	sqldb, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+q.Encode())
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	sqldb.SetMaxOpenConns(8)
	sqldb.SetMaxIdleConns(4)
	return sqldb, nil
}

// Migrate brings the schema up to date. Two processes may call it at once: one
// waits for the other. A lock that a crash left behind is taken over after a
// minute.
func Migrate(ctx context.Context, db *bun.DB, log *slog.Logger) error {
	set := migrate.NewMigrations()
	if err := set.Discover(migrations.Files); err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	m := migrate.NewMigrator(db, set, migrate.WithMarkAppliedOnSuccess(true))
	if err := m.Init(ctx); err != nil {
		return fmt.Errorf("prepare migrations: %w", err)
	}
	if err := lockMigrations(ctx, m, log); err != nil {
		return err
	}
	defer func() { _ = m.Unlock(context.WithoutCancel(ctx)) }() // a lock left behind is taken over later
	group, err := m.Migrate(ctx)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	if !group.IsZero() {
		log.InfoContext(ctx, "migrated the database", "migrations", group.Migrations.String())
	}
	return nil
}

func lockMigrations(ctx context.Context, m *migrate.Migrator, log *slog.Logger) error {
	deadline := time.Now().Add(time.Minute)
	for {
		err := m.Lock(ctx)
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			log.WarnContext(ctx, "took over a migration lock that nobody released", "err", err)
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// violation says which constraint err broke, translating the driver's words once.
func violation(err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		switch pg.Code {
		case "23505": // unique_violation
			return fmt.Errorf("%w: %w", ErrTaken, err)
		case "23503", "23001", "23514": // foreign_key, restrict, check
			return fmt.Errorf("%w: %w", ErrConflict, err)
		}
	}
	var lite *sqlite.Error
	if errors.As(err, &lite) {
		switch lite.Code() {
		case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY:
			return fmt.Errorf("%w: %w", ErrTaken, err)
		case sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY, sqlite3.SQLITE_CONSTRAINT_CHECK, sqlite3.SQLITE_CONSTRAINT_TRIGGER:
			return fmt.Errorf("%w: %w", ErrConflict, err)
		}
	}
	return err
}

// oneRow turns the outcome of a guarded UPDATE or DELETE into ErrConflict where
// the guard let nothing through.
func oneRow(res sql.Result, err error) error {
	if err != nil {
		return violation(err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return ErrConflict
	}
	return nil
}

// found turns "no rows" into ErrNotFound.
func found(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	return err
}

// nextNumber takes the next number of a counter. Its row stays locked until the
// transaction ends, which makes the numbers commit in order.
func nextNumber(ctx context.Context, tx bun.IDB, name string) (int64, error) {
	var n int64
	err := tx.NewRaw("UPDATE counters SET value = value + 1 WHERE name = ? RETURNING value", name).Scan(ctx, &n)
	if err != nil {
		return 0, fmt.Errorf("take a number from %s: %w", name, err)
	}
	return n, nil
}

// NewID makes an id that sorts by time (UUIDv7).
func NewID() string { return uuid.Must(uuid.NewV7()).String() }

// Now is the present as both databases store it: UTC, whole microseconds.
func Now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// clip shortens s to at most n bytes and an ellipsis, between characters:
// PostgreSQL takes no broken UTF-8, and a browser may send any.
func clip(s string, n int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
