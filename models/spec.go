package models

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/uptrace/bun"
)

// Spec is everything that a server's host is given of it, but for the RCON
// password: what its blueprint and its own settings come to at one moment.
type Spec struct {
	Port      int           `json:"port"`
	Hostname  string        `json:"hostname"`
	Arguments []string      `json:"arguments"`
	Config    string        `json:"config"`
	Overlays  []SpecOverlay `json:"overlays"` // uppermost first
}

// SpecOverlay is one layer of a Spec. Version is 0 while the overlay has no
// content: no host takes such a spec. Name is what it was called then.
type SpecOverlay struct {
	ID      int64  `json:"id"`
	Version int64  `json:"version"`
	Name    string `json:"name"`
	Exec    bool   `json:"exec,omitempty"` // its server.cfg is executed
}

// Ref is the version as a host names it, such as 12/v3.
func (o SpecOverlay) Ref() string { return Overlay{ID: o.ID, Version: o.Version}.Ref() }

// SpecOf computes what the host would be given of s now. s.Blueprint must be there.
func SpecOf(ctx context.Context, db bun.IDB, s *Server) (Spec, error) {
	overlays, err := BlueprintOverlays(ctx, db, s.BlueprintID)
	if err != nil {
		return Spec{}, fmt.Errorf("spec of %s: %w", s.Instance, err)
	}
	return NewSpec(s, s.Blueprint, overlays), nil
}

// NewSpec is SpecOf with a blueprint and its overlays that were read before.
func NewSpec(s *Server, b *Blueprint, overlays []Overlay) Spec {
	spec := Spec{Port: s.Port, Hostname: s.EffectiveHostname(), Arguments: b.Arguments, Config: b.Config}
	for _, o := range overlays {
		spec.Overlays = append(spec.Overlays, SpecOverlay{o.ID, o.Version, o.Name, o.Exec})
	}
	return spec
}

// serverSpec is a spec that a host was given. sum is what the host says of a game
// that was started with it.
type serverSpec struct {
	bun.BaseModel `bun:"table:server_specs"`

	ServerID  string          `bun:"server_id,pk"`
	Sum       string          `bun:"sum,pk"`
	Spec      json.RawMessage `bun:"spec,type:jsonb"`
	CreatedAt time.Time       `bun:"created_at"`
}

// RememberSpec records what a server's host was given. Giving it the same again
// makes the record the newest one.
func RememberSpec(ctx context.Context, db bun.IDB, serverID, sum string, spec Spec) error {
	raw, err := json.Marshal(spec)
	if err != nil {
		return fmt.Errorf("encode a spec: %w", err)
	}
	row := serverSpec{ServerID: serverID, Sum: sum, Spec: raw, CreatedAt: Now()}
	_, err = db.NewInsert().Model(&row).On("CONFLICT (server_id, sum) DO UPDATE").
		Set("spec = EXCLUDED.spec, created_at = EXCLUDED.created_at").Exec(ctx)
	if err != nil {
		return fmt.Errorf("remember a spec: %w", violation(err))
	}
	return nil
}

// RememberedSpecs finds, by their servers' ids, what the servers' running games were
// started with. Those of which that is not known are absent: a game that an operator
// set up by hand, or one that was started long ago.
func RememberedSpecs(ctx context.Context, db bun.IDB, servers []Server) (map[string]Spec, error) {
	sums := map[string]string{} // by server
	for _, s := range servers {
		if s.Status.Spec != "" {
			sums[s.ID] = s.Status.Spec
		}
	}
	if len(sums) == 0 {
		return nil, nil
	}
	var rows []serverSpec
	err := db.NewSelect().Model(&rows).Where("server_id IN (?) AND sum IN (?)",
		bun.List(slices.Collect(maps.Keys(sums))), bun.List(slices.Collect(maps.Values(sums)))).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("look for specs: %w", err)
	}
	byServer := make(map[string]Spec, len(rows))
	for _, row := range rows {
		if sums[row.ServerID] != row.Sum {
			continue
		}
		var spec Spec
		if err := json.Unmarshal(row.Spec, &spec); err != nil {
			return nil, fmt.Errorf("read spec %s: %w", clip(row.Sum, 12), err)
		}
		byServer[row.ServerID] = spec
	}
	return byServer, nil
}
