package models

import (
	"context"
	"fmt"

	"github.com/uptrace/bun"
)

// The questions below are what rights are decided by: whether a thing is there and
// whose it is. They read no more than that. Each answers ErrNotFound for what does
// not exist and for what is somebody else's: a refusal must not tell which.

// OwnsServer asks whether the server of that instance is the user's.
func OwnsServer(ctx context.Context, db bun.IDB, userID, instance string) error {
	return there(ctx, db.NewSelect().Model((*Server)(nil)).Where("instance = ? AND user_id = ?", instance, userID), "server "+clip(instance, 64))
}

// OwnsBlueprint asks whether the blueprint is the user's.
func OwnsBlueprint(ctx context.Context, db bun.IDB, userID, id string) error {
	return there(ctx, db.NewSelect().Model((*Blueprint)(nil)).Where("id = ? AND user_id = ?", id, userID), "blueprint "+clip(id, 64))
}

func there(ctx context.Context, q *bun.SelectQuery, what string) error {
	ok, err := q.Exists(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", what, err)
	case !ok:
		return fmt.Errorf("%s: %w", what, ErrNotFound)
	}
	return nil
}

// OverlayOwner returns an overlay's id, name, kind and owner, whoever may see it.
func OverlayOwner(ctx context.Context, db bun.IDB, id int64) (*Overlay, error) {
	o := new(Overlay)
	err := db.NewSelect().Model(o).Column("id", "name", "kind", "user_id").Where("id = ?", id).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("overlay %d: %w", id, found(err))
	}
	return o, nil
}

// JobOwner returns what Job.VisibleTo needs to know of a job.
func JobOwner(ctx context.Context, db bun.IDB, id int64) (*Job, error) {
	j := new(Job)
	err := db.NewSelect().Model(j).Column("id", "user_id", "owner_id").Where("id = ?", id).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("job %d: %w", id, found(err))
	}
	return j, nil
}
