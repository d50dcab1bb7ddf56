package models

import (
	"context"
	"fmt"
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
	var entries []AuditEntry
	err := db.NewSelect().Model(&entries).OrderExpr("at DESC").Limit(int64(limit)).Scan(ctx)
	return entries, err
}
