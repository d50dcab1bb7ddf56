package models

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/uptrace/bun"
)

// Limits of a blueprint; the host checks the same again and is the one to trust.
const (
	MaxNameLength      = 64 // characters
	MaxConfigBytes     = 256 << 10
	MaxArguments       = 128
	MaxArgumentBytes   = 1024
	MaxStackedOverlays = 100
)

// Blueprint is what servers are made from: ordered overlays, arguments and
// config. It is private to its user, and servers stay linked to it: a change
// applies at each server's next start.
type Blueprint struct {
	bun.BaseModel `bun:"table:blueprints"`

	ID        string    `bun:"id,pk"`
	UserID    string    `bun:"user_id"`
	Name      string    `bun:"name"`
	Arguments []string  `bun:"arguments,type:jsonb"`
	Config    string    `bun:"config"`
	Revision  int64     `bun:"revision"` // counts what changes for its servers, from 1: saves and new versions of its overlays
	Edits     int64     `bun:"edits"`    // counts saves, from 1: what guards against a save over somebody else's
	CreatedAt time.Time `bun:"created_at"`
	UpdatedAt time.Time `bun:"updated_at"`

	Overlays []Overlay `bun:"-"` // uppermost first; filled by BlueprintOverlays
}

// check refuses what the host would refuse too, with a sentence for the form.
func (b *Blueprint) check() error {
	b.Name = strings.TrimSpace(b.Name)
	if err := checkTitle("name", b.Name); err != nil {
		return err
	}
	if len(b.Config) > MaxConfigBytes {
		return Invalid("config", fmt.Sprintf("The config is %d KB; at most %d KB can be used.", len(b.Config)>>10, MaxConfigBytes>>10))
	}
	if i := strings.IndexByte(b.Config, 0); i >= 0 {
		line := 1 + strings.Count(b.Config[:i], "\n")
		return Invalid("config", fmt.Sprintf("Line %d of the config contains a NUL character, which the game cannot read. Remove it.", line))
	}
	b.Config = strings.ReplaceAll(b.Config, "\r\n", "\n") // browsers post CRLF
	if i := strings.IndexByte(b.Config, '\r'); i >= 0 {
		line := 1 + strings.Count(b.Config[:i], "\n")
		return Invalid("config", fmt.Sprintf("Line %d of the config contains a carriage return without a line feed. Type that line break again.", line))
	}
	if !utf8.ValidString(b.Config) {
		return Invalid("config", "The config is not text in UTF-8. Save it so, then paste it again.")
	}
	if len(b.Arguments) > MaxArguments {
		return Invalid("arguments", fmt.Sprintf("There are %d arguments; at most %d can be used.", len(b.Arguments), MaxArguments))
	}
	for _, a := range b.Arguments {
		if len(a) > MaxArgumentBytes {
			return Invalid("arguments", fmt.Sprintf("The argument that begins with %q is longer than %d characters.", clip(a, 30), MaxArgumentBytes))
		}
		if strings.ContainsFunc(a, unicode.IsControl) || !utf8.ValidString(a) {
			return Invalid("arguments", fmt.Sprintf("The argument %q contains a control character. Remove it.", clip(a, 60)))
		}
	}
	return nil
}

// checkTitle refuses empty, long and unprintable names of things.
func checkTitle(field, name string) error {
	switch {
	case name == "":
		return Invalid(field, "Give it a name.")
	case len([]rune(name)) > MaxNameLength:
		return Invalid(field, fmt.Sprintf("The name is too long; use at most %d characters.", MaxNameLength))
	case !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return Invalid(field, "The name contains a character that cannot be shown. Type it again.")
	}
	return nil
}

// CreateBlueprint checks and inserts b. An InvalidError names the field.
func CreateBlueprint(ctx context.Context, db bun.IDB, b *Blueprint) error {
	if err := b.check(); err != nil {
		return err
	}
	b.ID, b.Revision, b.Edits, b.CreatedAt = NewID(), 1, 1, Now()
	b.UpdatedAt = b.CreatedAt
	if b.Arguments == nil {
		b.Arguments = []string{}
	}
	if _, err := db.NewInsert().Model(b).Exec(ctx); err != nil {
		return blueprintNameTaken(b, violation(err))
	}
	return nil
}

// UpdateBlueprint stores b's name, arguments and config if its edits are still the
// stored ones, and counts edits and revision up. ErrConflict means that somebody
// else saved in between; an overlay's new version is no such save.
func UpdateBlueprint(ctx context.Context, db bun.IDB, b *Blueprint) error {
	if err := b.check(); err != nil {
		return err
	}
	if b.Arguments == nil {
		b.Arguments = []string{}
	}
	return saveBlueprint(ctx, db, b, "name", "arguments", "config")
}

// ChangeBlueprintOverlays gives b's list, uppermost first, to change and stores
// what that returns. It is no save of a form: two people may each move something.
func ChangeBlueprintOverlays(ctx context.Context, tx bun.IDB, b *Blueprint, change func(now []Overlay) ([]Stacked, error)) error {
	// This first, because it keeps others waiting until the transaction ends.
	res, err := tx.NewUpdate().Model((*Blueprint)(nil)).Set("revision = revision + 1, updated_at = ?", Now()).
		Where("id = ? AND user_id = ?", b.ID, b.UserID).Exec(ctx)
	if err := oneRow(res, err); err != nil {
		return fmt.Errorf("change the overlays of a blueprint: %w", err)
	}
	now, err := BlueprintOverlays(ctx, tx, b.ID)
	if err != nil {
		return err
	}
	list, err := change(now)
	if err != nil {
		return err
	}
	return SetBlueprintOverlays(ctx, tx, b.UserID, b.ID, list)
}

// saveBlueprint stores the named columns and counts the save. The revision is
// counted up from whatever is stored: versions may have been published since b
// was read.
func saveBlueprint(ctx context.Context, db bun.IDB, b *Blueprint, columns ...string) error {
	var now struct{ Edits, Revision int64 }
	at := Now()
	q := db.NewUpdate().Model(b).Set("edits = edits + 1, revision = revision + 1, updated_at = ?", at)
	if len(columns) > 0 {
		q = q.Column(columns...)
	}
	err := found(q.Where("id = ? AND edits = ?", b.ID, b.Edits).Returning("edits, revision").Scan(ctx, &now))
	switch {
	case errors.Is(err, ErrNotFound):
		return fmt.Errorf("save blueprint: %w", ErrConflict)
	case err != nil:
		return blueprintNameTaken(b, violation(err))
	}
	b.Edits, b.Revision, b.UpdatedAt = now.Edits, now.Revision, at
	return nil
}

func blueprintNameTaken(b *Blueprint, err error) error {
	if isTaken(err) {
		return Invalid("name", fmt.Sprintf("You already have a blueprint called %q. Choose another name.", b.Name))
	}
	return fmt.Errorf("save blueprint: %w", err)
}

// BlueprintByID returns one of the user's blueprints, with its overlays.
// Somebody else's is ErrNotFound.
func BlueprintByID(ctx context.Context, db bun.IDB, userID, id string) (*Blueprint, error) {
	b := new(Blueprint)
	if err := db.NewSelect().Model(b).Where("id = ? AND user_id = ?", id, userID).Scan(ctx); err != nil {
		return nil, fmt.Errorf("blueprint: %w", found(err))
	}
	var err error
	b.Overlays, err = BlueprintOverlays(ctx, db, id)
	return b, err
}

// Blueprints lists the user's blueprints by name, at most 500.
func Blueprints(ctx context.Context, db bun.IDB, userID string) ([]Blueprint, error) {
	var list []Blueprint
	err := db.NewSelect().Model(&list).Where("user_id = ?", userID).OrderExpr("lower(name)").Limit(500).Scan(ctx)
	return list, err
}

// BlueprintServerCounts says how many servers are linked to each of the user's
// blueprints, by blueprint id.
func BlueprintServerCounts(ctx context.Context, db bun.IDB, userID string) (map[string]int, error) {
	var rows []struct {
		BlueprintID string
		N           int
	}
	err := db.NewSelect().Model((*Server)(nil)).Column("blueprint_id").ColumnExpr("count(*) AS n").
		Where("user_id = ?", userID).Group("blueprint_id").Scan(ctx, &rows)
	counts := make(map[string]int, len(rows))
	for _, r := range rows {
		counts[r.BlueprintID] = r.N
	}
	return counts, err
}

// DeleteBlueprint removes one of the user's blueprints. While servers are
// linked to it that is refused with an InvalidError that names them.
func DeleteBlueprint(ctx context.Context, db bun.IDB, userID, id string) error {
	linked, err := BlueprintServers(ctx, db, userID, id)
	if err != nil {
		return err
	}
	if len(linked) > 0 {
		return Invalid("", linkedSentence(linked))
	}
	res, err := db.NewDelete().Model((*Blueprint)(nil)).Where("id = ? AND user_id = ?", id, userID).Exec(ctx)
	if err = oneRow(res, err); err != nil {
		return fmt.Errorf("delete blueprint: %w", err)
	}
	return nil
}

func linkedSentence(linked []Server) string {
	names := make([]string, 0, 3)
	for i, s := range linked {
		if i == 3 {
			break
		}
		names = append(names, s.Name)
	}
	list := strings.Join(names, ", ")
	if more := len(linked) - len(names); more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	if len(linked) == 1 {
		return "This blueprint is used by the server " + list + ". Switch it to another blueprint or delete it first."
	}
	return fmt.Sprintf("This blueprint is used by %d servers: %s. Switch them to another blueprint or delete them first.", len(linked), list)
}

// BlueprintServers lists the user's servers that are linked to a blueprint, which
// each of them holds, too.
func BlueprintServers(ctx context.Context, db bun.IDB, userID, blueprintID string) ([]Server, error) {
	var list []Server
	err := db.NewSelect().Model(&list).Relation("Blueprint").Where("server.blueprint_id = ? AND server.user_id = ?", blueprintID, userID).
		OrderExpr("lower(server.name)").Limit(500).Scan(ctx)
	return list, err
}
