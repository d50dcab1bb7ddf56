// Package migrations holds the database's schema as SQL files that run unchanged
// on PostgreSQL and on SQLite.
package migrations

import "embed"

// Files are the migrations, named <time>_<what>.tx.up.sql: each runs in a
// transaction of its own.
//
//go:embed *.sql
var Files embed.FS
