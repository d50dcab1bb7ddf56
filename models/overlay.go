package models

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/uptrace/bun"
)

// OverlayKind says how an overlay's content comes about.
type OverlayKind string

// The kinds of overlays.
const (
	OverlayWorkshop OverlayKind = "workshop"
	OverlayScript   OverlayKind = "script"
	OverlayFiles    OverlayKind = "files"
	OverlayManaged  OverlayKind = "managed"
)

// MaxOverlays is how many overlays one user may have, and how many may be shared.
const MaxOverlays = 200

// MaxScriptBytes bounds a script.
const MaxScriptBytes = 256 << 10

// Overlay is a directory of content that blueprints stack. Version is the one in
// use; 0 means that nothing has been built yet.
type Overlay struct {
	bun.BaseModel `bun:"table:overlays"`

	ID         int64             `bun:"id,pk"`
	UserID     string            `bun:"user_id,nullzero"` // empty: shared with everybody, changed by administrators
	Name       string            `bun:"name"`
	Kind       OverlayKind       `bun:"kind"`
	Version    int64             `bun:"version"`
	Definition OverlayDefinition `bun:"definition,type:jsonb"`
	Revision   int64             `bun:"revision"`  // counts changes of name and definition, from 1
	DraftSeq   int64             `bun:"draft_seq"` // the number of the last change that its draft ever had
	CreatedAt  time.Time         `bun:"created_at"`

	Exec bool `bun:"exec,scanonly"` // in a blueprint's list: its server.cfg is executed; filled by BlueprintOverlays
}

// OverlayDefinition is what the next version of a script or managed overlay is
// made of. Workshop items and drafts have tables of their own.
type OverlayDefinition struct {
	Script  string            `json:"script,omitempty"`
	Recipe  string            `json:"recipe,omitempty"`
	Options map[string]string `json:"options,omitempty"`
}

// Ref is the overlay's current version as a spec names it, such as 12/v3.
func (o Overlay) Ref() string { return fmt.Sprintf("%d/v%d", o.ID, o.Version) }

// Subject names the overlay in the audit log.
func (o Overlay) Subject() string { return fmt.Sprintf("overlay:%d", o.ID) }

// ChangeableBy says whether the user may change the overlay: their own, or a
// shared one for an administrator.
func (o Overlay) ChangeableBy(u *User) bool {
	if o.UserID == "" {
		return u.Admin
	}
	return o.UserID == u.ID
}

func (o *Overlay) check() error {
	o.Name = strings.TrimSpace(o.Name)
	if err := checkTitle("name", o.Name); err != nil {
		return err
	}
	d := &o.Definition
	d.Script = strings.ReplaceAll(d.Script, "\r\n", "\n") // browsers post CRLF, and bash stumbles over it
	switch {
	case len(d.Script) > MaxScriptBytes:
		return Invalid("script", fmt.Sprintf("The script is too large: at most %d KB can be used. Let it fetch what it needs, or put that into a files overlay.", MaxScriptBytes>>10))
	case strings.ContainsRune(d.Script, 0):
		return Invalid("script", "The script contains a NUL character. Remove it.")
	case o.Kind == OverlayManaged && d.Recipe == "":
		return Invalid("recipe", "Choose a recipe.")
	case o.Kind == OverlayManaged && o.UserID != "":
		return Invalid("recipe", "Recipes are managed by administrators and shared with everybody.")
	}
	return nil
}

// blueprintOverlay is one row of a blueprint's ordered list.
type blueprintOverlay struct {
	bun.BaseModel `bun:"table:blueprint_overlays"`

	BlueprintID string `bun:"blueprint_id,pk"`
	Position    int    `bun:"position,pk"`
	OverlayID   int64  `bun:"overlay_id"`
	Exec        bool   `bun:"exec"`
}

// CreateOverlay checks and inserts an overlay; its id is a number that is never
// used again, because directories are named by it.
func CreateOverlay(ctx context.Context, db bun.IDB, o *Overlay) error {
	if err := o.check(); err != nil {
		return err
	}
	return db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		id, err := nextNumber(ctx, tx, "overlay")
		if err != nil {
			return err
		}
		// Taking the number has made everybody else wait who makes an overlay.
		if err := roomForOverlay(ctx, tx, o.UserID); err != nil {
			return err
		}
		o.ID, o.Revision, o.CreatedAt = id, 1, Now()
		if _, err := tx.NewInsert().Model(o).Exec(ctx); err != nil {
			return fmt.Errorf("create overlay: %w", nameTaken(err))
		}
		return nil
	})
}

// roomForOverlay refuses a user, "" for all of them, one overlay too many.
func roomForOverlay(ctx context.Context, tx bun.IDB, userID string) error {
	q := tx.NewSelect().Model((*Overlay)(nil)).Where("user_id = ?", userID)
	if userID == "" {
		q = tx.NewSelect().Model((*Overlay)(nil)).Where("user_id IS NULL")
	}
	n, err := q.Count(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("count overlays: %w", err)
	case n >= MaxOverlays:
		return Invalid("name", fmt.Sprintf("There are %d overlays already, and no more are possible. Delete one that nothing uses, or put its content into another.", n))
	}
	return nil
}

// UpdateOverlay stores name and definition. ErrConflict when somebody else
// changed them since o.Revision was read.
func UpdateOverlay(ctx context.Context, db bun.IDB, o *Overlay) error {
	if err := o.check(); err != nil {
		return err
	}
	res, err := db.NewUpdate().Model(o).Column("name", "definition").Set("revision = revision + 1").
		Where("id = ? AND revision = ?", o.ID, o.Revision).Exec(ctx)
	if err != nil {
		return fmt.Errorf("update overlay: %w", nameTaken(err))
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return fmt.Errorf("update overlay %d: %w", o.ID, ErrConflict)
	}
	o.Revision++
	return nil
}

// nameTaken turns a violated unique name into a sentence for the form.
func nameTaken(err error) error {
	if err = violation(err); isTaken(err) {
		return Invalid("name", "There is an overlay of this name already. Choose another name.")
	}
	return err
}

// KindDeleteOverlay is the kind of the job that deletes an overlay.
const KindDeleteOverlay = "overlay.delete"

// RefuseStacked is an InvalidError that names the blueprints that stack the overlay,
// nil when none does.
func RefuseStacked(ctx context.Context, db bun.IDB, id int64) error {
	uses, err := OverlayUses(ctx, db, id)
	if err != nil || len(uses) == 0 {
		return err
	}
	names := make([]string, 0, 5)
	for _, u := range uses[:min(len(uses), cap(names))] {
		names = append(names, "“"+u.Blueprint+"”")
	}
	list, where := strings.Join(names, ", "), "the blueprint"
	if more := len(uses) - len(names); more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	if len(uses) > 1 {
		where = fmt.Sprintf("%d blueprints:", len(uses))
	}
	return Invalid("", fmt.Sprintf("The overlay is stacked in %s %s. Take it out there first.", where, list))
}

// DeleteOverlay removes the row with everything that hangs on it. While blueprints
// stack it that is refused; see RefuseStacked.
func DeleteOverlay(ctx context.Context, tx bun.IDB, id int64) error {
	if err := RefuseStacked(ctx, tx, id); err != nil {
		return err
	}
	if _, err := tx.NewDelete().Model((*DraftChange)(nil)).Where("overlay_id = ?", id).Exec(ctx); err != nil {
		return err
	}
	if _, err := tx.NewDelete().Model((*Overlay)(nil)).Where("id = ?", id).Exec(ctx); err != nil {
		return fmt.Errorf("delete overlay: %w", violation(err))
	}
	return nil
}

// OverlayUse is a blueprint that stacks an overlay. Servers counts those that are
// linked to it.
type OverlayUse struct {
	BlueprintID string `bun:"blueprint_id"`
	Blueprint   string `bun:"blueprint"`
	UserID      string `bun:"user_id"`
	Servers     int    `bun:"servers"`
}

// OverlayUses lists the blueprints that stack an overlay, of every user.
func OverlayUses(ctx context.Context, db bun.IDB, id int64) ([]OverlayUse, error) {
	var list []OverlayUse
	err := db.NewSelect().TableExpr("blueprint_overlays AS bo").
		Join("JOIN blueprints AS b ON b.id = bo.blueprint_id").
		ColumnExpr("b.id AS blueprint_id, b.name AS blueprint, b.user_id AS user_id").
		ColumnExpr("(SELECT COUNT(*) FROM servers AS s WHERE s.blueprint_id = b.id) AS servers").
		Where("bo.overlay_id = ?", id).OrderExpr("lower(b.name)").Limit(500).Scan(ctx, &list)
	return list, err
}

// OverlayReach lists the blueprints that stack an overlay and the servers that are
// linked to them, of every user.
func OverlayReach(ctx context.Context, db bun.IDB, id int64) (blueprintIDs, serverIDs []string, err error) {
	err = db.NewSelect().Model((*blueprintOverlay)(nil)).Column("blueprint_id").Where("overlay_id = ?", id).Scan(ctx, &blueprintIDs)
	if err != nil || len(blueprintIDs) == 0 {
		return nil, nil, err
	}
	err = db.NewSelect().Model((*Server)(nil)).Column("id").
		Where("blueprint_id IN (SELECT blueprint_id FROM blueprint_overlays WHERE overlay_id = ?)", id).Scan(ctx, &serverIDs)
	return blueprintIDs, serverIDs, err
}

// OverlayServers lists the servers whose blueprints stack an overlay, of every user.
func OverlayServers(ctx context.Context, db bun.IDB, id int64) ([]Server, error) {
	var list []Server
	err := db.NewSelect().Model(&list).Where("blueprint_id IN (SELECT blueprint_id FROM blueprint_overlays WHERE overlay_id = ?)", id).
		OrderExpr("lower(name)").Limit(500).Scan(ctx)
	return list, err
}

// OverlayCount says how many blueprints stack an overlay, and how many servers are
// linked to those.
type OverlayCount struct{ Blueprints, Servers int }

// OverlayCounts counts the blueprints and servers of each of the given overlays, of
// every user. Overlays that nothing stacks are absent.
func OverlayCounts(ctx context.Context, db bun.IDB, overlayIDs []int64) (map[int64]OverlayCount, error) {
	if len(overlayIDs) == 0 {
		return nil, nil
	}
	var list []struct {
		OverlayID           int64
		Blueprints, Servers int
	}
	err := db.NewSelect().TableExpr("blueprint_overlays AS bo").
		Join("LEFT JOIN servers AS s ON s.blueprint_id = bo.blueprint_id").
		ColumnExpr("bo.overlay_id, COUNT(DISTINCT bo.blueprint_id) AS blueprints, COUNT(s.id) AS servers").
		Where("bo.overlay_id IN (?)", bun.List(overlayIDs)).GroupExpr("bo.overlay_id").Scan(ctx, &list)
	byID := make(map[int64]OverlayCount, len(list))
	for _, c := range list {
		byID[c.OverlayID] = OverlayCount{c.Blueprints, c.Servers}
	}
	return byID, err
}

// Overlays lists what the user may stack, without definitions: their own overlays
// and the shared ones.
func Overlays(ctx context.Context, db bun.IDB, userID string) ([]Overlay, error) {
	var list []Overlay
	err := db.NewSelect().Model(&list).ExcludeColumn("definition").Where("user_id = ? OR user_id IS NULL", userID).OrderExpr("lower(name), id").Limit(500).Scan(ctx)
	return list, err
}

// OverlayByID finds an overlay whoever owns it.
func OverlayByID(ctx context.Context, db bun.IDB, id int64) (*Overlay, error) {
	o := new(Overlay)
	if err := found(db.NewSelect().Model(o).Where("id = ?", id).Scan(ctx)); err != nil {
		return nil, err
	}
	return o, nil
}

// OverlayFor finds an overlay that the user may see: their own or a shared one.
func OverlayFor(ctx context.Context, db bun.IDB, userID string, id int64) (*Overlay, error) {
	o := new(Overlay)
	err := found(db.NewSelect().Model(o).Where("id = ? AND (user_id = ? OR user_id IS NULL)", id, userID).Scan(ctx))
	if err != nil {
		return nil, err
	}
	return o, nil
}

// SharedOverlayByName finds a shared overlay, whatever the case of its name.
func SharedOverlayByName(ctx context.Context, db bun.IDB, name string) (*Overlay, error) {
	o := new(Overlay)
	err := db.NewSelect().Model(o).Where("user_id IS NULL AND lower(name) = ?", strings.ToLower(name)).Scan(ctx)
	if err = found(err); err != nil {
		return nil, err
	}
	return o, nil
}

// OverlaysOfKind lists every overlay of a kind, of all users, by number.
func OverlaysOfKind(ctx context.Context, db bun.IDB, kind OverlayKind) ([]Overlay, error) {
	var list []Overlay
	err := db.NewSelect().Model(&list).Where("kind = ?", kind).OrderExpr("id").Scan(ctx)
	return list, err
}

// BlueprintOverlays returns a blueprint's overlays, uppermost first, without their
// definitions.
func BlueprintOverlays(ctx context.Context, db bun.IDB, blueprintID string) ([]Overlay, error) {
	var list []Overlay
	err := db.NewSelect().Model(&list).ExcludeColumn("definition").ColumnExpr("bo.exec").
		Join("JOIN blueprint_overlays AS bo ON bo.overlay_id = overlay.id").
		Where("bo.blueprint_id = ?", blueprintID).OrderExpr("bo.position").Scan(ctx)
	return list, err
}

// Stacked is one entry of a blueprint's list: which overlay, and whether its
// server.cfg is executed.
type Stacked struct {
	ID   int64
	Exec bool
}

// SetBlueprintOverlays replaces a blueprint's list; entries are uppermost first
// and must be overlays the user may stack.
func SetBlueprintOverlays(ctx context.Context, tx bun.IDB, userID, blueprintID string, list []Stacked) error {
	if _, err := tx.NewDelete().Model((*blueprintOverlay)(nil)).Where("blueprint_id = ?", blueprintID).Exec(ctx); err != nil {
		return fmt.Errorf("clear overlays: %w", err)
	}
	if len(list) == 0 {
		return nil
	}
	if len(list) > MaxStackedOverlays {
		return Invalid("overlays", fmt.Sprintf("At most %d overlays can be stacked.", MaxStackedOverlays))
	}
	rows, ids := make([]blueprintOverlay, len(list)), make([]int64, len(list))
	for i, o := range list {
		rows[i], ids[i] = blueprintOverlay{BlueprintID: blueprintID, Position: i, OverlayID: o.ID, Exec: o.Exec}, o.ID
	}
	n, err := tx.NewSelect().Model((*Overlay)(nil)).Where("id IN (?)", bun.List(ids)).
		Where("user_id = ? OR user_id IS NULL", userID).Count(ctx)
	if err != nil {
		return fmt.Errorf("check overlays: %w", err)
	}
	if int(n) != len(ids) {
		return Invalid("overlays", "One of the overlays does not exist or is listed twice. Reload the page and choose again.")
	}
	if going, err := overlaysBeingDeleted(ctx, tx, ids); err != nil || going {
		if err == nil {
			err = Invalid("overlays", "One of the overlays is being deleted. Reload the page and choose again.")
		}
		return err
	}
	if _, err := tx.NewInsert().Model(&rows).Exec(ctx); err != nil {
		return fmt.Errorf("set overlays: %w", violation(err))
	}
	return nil
}

// overlaysBeingDeleted says whether a job that deletes one of the overlays is under
// way: stacking it now would leave a blueprint without its files.
func overlaysBeingDeleted(ctx context.Context, tx bun.IDB, ids []int64) (bool, error) {
	n, err := tx.NewSelect().Model((*Job)(nil)).Where("overlay_id IN (?) AND finished_at IS NULL AND kind = ?", bun.List(ids), KindDeleteOverlay).Count(ctx)
	if err != nil {
		return false, fmt.Errorf("look for overlays that are being deleted: %w", err)
	}
	return n > 0, nil
}
