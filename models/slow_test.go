package models

import (
	"bytes"
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestShapeHasNoValues(t *testing.T) {
	for query, want := range map[string]string{
		`SELECT "u"."id" FROM "users" AS "u" WHERE (lower(name) = 'o''brien') LIMIT 50`: `SELECT "u"."id" FROM "users" AS "u" WHERE (lower(name) = ?) LIMIT ?`,
		`INSERT INTO t (a, b) VALUES ('secret', 12, -3.5e7), ('x''y', 0x1f, NULL)`:      `INSERT INTO t (a, b) VALUES (?, -?), (?, NULL)`,
		"UPDATE t\n\t SET a1 = 'x' WHERE id IN (1, 2, 3)":                               `UPDATE t SET a1 = ? WHERE id IN (?)`,
		`SELECT 'never closed`:  `SELECT ?`,
		`SELECT "never closed`:  `SELECT "never closed`,
		`SELECT '{"a":"1"}' AS`: `SELECT ? AS`,
		``:                      ``,
	} {
		if got := shape(query); got != want {
			t.Errorf("shape(%q) = %q, want %q", query, got, want)
		}
	}
}

// TestAttack24SlowQueriesTellNoValues: what is logged of a statement is its shape.
func TestAttack24SlowQueriesTellNoValues(t *testing.T) {
	ctx := context.Background()
	db, err := Open(ctx, "sqlite://"+filepath.Join(t.TempDir(), "slow.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }() // a test's database
	var out bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&out, nil))
	slow := WithSlowLog(db, log, time.Nanosecond)
	if _, err := slow.NewRaw("SELECT ? AS password, 4711", "hunter2").Exec(ctx); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); !strings.Contains(got, `"query":"SELECT ? AS password, ?"`) || strings.Contains(got, "hunter2") || strings.Contains(got, "4711") {
		t.Errorf("the log says %s", got)
	}
	out.Reset()
	if _, err := slow.NewRaw("SELECT no_such_column FROM no_such_table WHERE a = ?", "hunter2").Exec(ctx); err == nil {
		t.Fatal("a broken statement worked")
	}
	if got := out.String(); !strings.Contains(got, `"end":"failed"`) || strings.Contains(got, "hunter2") {
		t.Errorf("the log says %s", got)
	}
	out.Reset()
	for _, over := range []time.Duration{0, time.Hour} {
		if _, err := WithSlowLog(db, log, over).NewRaw("SELECT 1").Exec(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if out.Len() > 0 {
		t.Errorf("a fast statement was logged: %s", out.String())
	}
}
