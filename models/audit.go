package models

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/uptrace/bun"
)

// Actor is who asked for something: a user, or the system when ID is empty.
type Actor struct {
	ID      string
	Name    string
	Address string
}

// AuditEntry is one line of who did what. It holds no secret and no user text
// longer than a name.
type AuditEntry struct {
	bun.BaseModel `bun:"table:audit_log"`

	ID       string    `bun:"id,pk"`
	At       time.Time `bun:"at"`
	UserID   string    `bun:"user_id,nullzero"`
	UserName string    `bun:"user_name"`
	Address  string    `bun:"address"`
	Action   string    `bun:"action"`  // such as server.create
	Subject  string    `bun:"subject"` // such as server:friday-versus-k3x9
	Detail   string    `bun:"detail"`
}

// Audit records an action, best in the transaction that carries it out.
func Audit(ctx context.Context, db bun.IDB, by Actor, action, subject, detail string) error {
	name := by.Name
	if by.ID == "" && name == "" {
		name = "system"
	}
	e := &AuditEntry{
		ID: NewID(), At: Now(), UserID: by.ID, UserName: name, Address: clip(by.Address, 64),
		Action: action, Subject: clip(subject, 200), Detail: clip(detail, 500),
	}
	if _, err := db.NewInsert().Model(e).Exec(ctx); err != nil {
		return fmt.Errorf("audit %s: %w", action, violation(err))
	}
	return nil
}

// AuditEntries lists the newest entries, at most limit.
func AuditEntries(ctx context.Context, db bun.IDB, limit int) ([]AuditEntry, error) {
	return AuditLog(ctx, db, AuditFilter{}, limit)
}

// AuditFilter selects entries. What is empty selects all.
type AuditFilter struct {
	UserID  string    // by this user
	Person  string    // by whoever has or had this name, in any case
	Action  string    // this action, or all of this noun: "server" is every "server.…"
	Subject string    // about this, or about all that begins so
	Day     time.Time // within the 24 hours from then on
	Before  string    // older than the entry with this id
}

// AuditLog lists the entries that a filter selects, newest first, at most limit.
// Pages go on with Before, so a list costs the same with a million entries.
func AuditLog(ctx context.Context, db bun.IDB, f AuditFilter, limit int) ([]AuditEntry, error) {
	var entries []AuditEntry
	q := db.NewSelect().Model(&entries).OrderExpr("id DESC").Limit(int64(limit))
	if f.UserID != "" {
		q = q.Where("user_id = ?", f.UserID)
	}
	if f.Person != "" {
		q = q.Where("lower(user_name) = ?", strings.ToLower(f.Person))
	}
	if f.Action != "" {
		q = q.Where("(action = ? OR action LIKE ? ESCAPE '!')", f.Action, likePrefix(f.Action+"."))
	}
	if f.Subject != "" {
		q = q.Where("subject LIKE ? ESCAPE '!'", likePrefix(f.Subject))
	}
	if !f.Day.IsZero() {
		q = q.Where("id >= ? AND id < ?", idsFrom(f.Day), idsFrom(f.Day.Add(24*time.Hour)))
	}
	if f.Before != "" {
		q = q.Where("id < ?", f.Before)
	}
	if err := q.Scan(ctx); err != nil {
		return nil, fmt.Errorf("read the audit log: %w", err)
	}
	return entries, nil
}

// likePrefix is a LIKE pattern, with '!' as its escape, for what begins with s.
func likePrefix(s string) string {
	return strings.NewReplacer("!", "!!", "%", "!%", "_", "!_").Replace(s) + "%"
}

// idsFrom is below every id that NewID makes at t or later and above those before: an
// id begins with the milliseconds since 1970.
func idsFrom(t time.Time) string {
	hex := fmt.Sprintf("%012x", max(t.UnixMilli(), 0))
	return hex[:8] + "-" + hex[8:12]
}
