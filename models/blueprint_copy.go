package models

import (
	"context"
	"fmt"

	"github.com/uptrace/bun"
)

// maxCopies is how many names are tried for a copy.
const maxCopies = 100

// CopyBlueprint makes another blueprint of one of the user's: the same overlays,
// arguments, config and executed configs, under the next free name "… copy". An
// InvalidError says why that cannot be.
func CopyBlueprint(ctx context.Context, tx bun.IDB, userID, id string) (*Blueprint, error) {
	from, err := BlueprintByID(ctx, tx, userID, id)
	if err != nil {
		return nil, err
	}
	name, err := freeCopyName(ctx, tx, userID, from.Name)
	if err != nil {
		return nil, err
	}
	list := make([]Stacked, len(from.Overlays))
	for i, o := range from.Overlays {
		list[i] = Stacked{ID: o.ID, Exec: o.Exec}
	}
	b := &Blueprint{UserID: userID, Name: name, Arguments: from.Arguments, Config: from.Config}
	if err := CreateBlueprint(ctx, tx, b); err != nil {
		return nil, err
	}
	return b, SetBlueprintOverlays(ctx, tx, userID, b.ID, list)
}

func freeCopyName(ctx context.Context, db bun.IDB, userID, name string) (string, error) {
	for n := 1; n <= maxCopies; n++ {
		ending := " copy"
		if n > 1 {
			ending = fmt.Sprintf(" copy %d", n)
		}
		letters := []rune(name)
		free := string(letters[:min(len(letters), MaxNameLength-len(ending))]) + ending
		taken, err := db.NewSelect().Model((*Blueprint)(nil)).Where("user_id = ? AND lower(name) = lower(?)", userID, free).Exists(ctx)
		if err != nil {
			return "", fmt.Errorf("look for a free name: %w", err)
		}
		if !taken {
			return free, nil
		}
	}
	return "", Invalid("name", fmt.Sprintf("There are %d copies of %q already. Rename or delete some of them first.", maxCopies, name))
}
