package models

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/uptrace/bun"
)

// ServerState is a state of a server as the host sees it.
type ServerState string

// The states. Desired is only ever stopped or running.
const (
	ServerAbsent   ServerState = "absent" // not initialised on the host
	ServerStopped  ServerState = "stopped"
	ServerStarting ServerState = "starting"
	ServerRunning  ServerState = "running"
	ServerStopping ServerState = "stopping"
	ServerFailed   ServerState = "failed"
	ServerUnknown  ServerState = "unknown"
)

// LocalHost is the name of the one host there is today.
const LocalHost = "local"

// Server is one game server. What begins with Observed, and Status, is written
// by the observer only.
type Server struct {
	bun.BaseModel `bun:"table:servers"`

	ID            string       `bun:"id,pk"`
	UserID        string       `bun:"user_id"`
	BlueprintID   string       `bun:"blueprint_id"`
	Host          string       `bun:"host"`
	Instance      string       `bun:"instance"` // its name on the host; never changes
	Name          string       `bun:"name"`
	Hostname      string       `bun:"hostname"` // shown to players; empty: the name
	Port          int          `bun:"port"`
	RCONPassword  string       `bun:"rcon_password"` // sealed
	Desired       ServerState  `bun:"desired"`
	Observed      ServerState  `bun:"observed"`
	ObservedSince time.Time    `bun:"observed_since"`
	ObservedAt    time.Time    `bun:"observed_at"`
	Status        ServerStatus `bun:"status,type:jsonb"`
	// AppliedRevision is the blueprint's revision that the host was last given.
	AppliedRevision int64 `bun:"applied_revision"`
	// ApplyWhenEmpty asks for a restart as soon as nobody plays on it.
	ApplyWhenEmpty bool      `bun:"apply_when_empty"`
	CreatedAt      time.Time `bun:"created_at"`
	UpdatedAt      time.Time `bun:"updated_at"`

	Blueprint *Blueprint `bun:"rel:belongs-to,join:blueprint_id=id"`
}

// ServerStatus is what the host last said of a server beyond its state.
type ServerStatus struct {
	Message  string    `json:"message,omitempty"`
	Grade    string    `json:"grade,omitempty"`
	LAN      bool      `json:"lan,omitempty"`  // it cannot be found from outside; Message says why
	Hung     bool      `json:"hung,omitempty"` // its process is there, and the game answers nothing
	PID      int       `json:"pid,omitempty"`
	Restarts int       `json:"restarts,omitempty"`
	Memory   int64     `json:"memory,omitempty"`   // bytes
	CPU      int       `json:"cpu,omitempty"`      // thousandths of a core
	Spec     string    `json:"spec,omitempty"`     // the sum of what the running game was started with
	Pending  bool      `json:"pending,omitempty"`  // it runs with an older definition than the host has now
	Argv     []string  `json:"argv,omitempty"`     // of the running game
	Overlays []string  `json:"overlays,omitempty"` // refs that the running game has, uppermost first
	Live     *Live     `json:"live,omitempty"`
	Exit     *GameExit `json:"exit,omitempty"`
}

// Live is what the game itself answered. Names come from strangers.
type Live struct {
	At          time.Time `json:"at"`
	Hostname    string    `json:"hostname"`
	Map         string    `json:"map"`
	Players     int       `json:"players"`
	Bots        int       `json:"bots"`
	Max         int       `json:"max"`
	Mode        string    `json:"mode,omitempty"`       // such as coop or versus
	Difficulty  string    `json:"difficulty,omitempty"` // Easy, Normal, Hard or Impossible
	Hibernating bool      `json:"hibernating,omitempty"`
	Public      string    `json:"public,omitempty"` // its address as Steam sees it; "" while it is not connected
	Names       []Player  `json:"names,omitempty"`
}

// Player is one human on a server.
type Player struct {
	UserID    int    `json:"user_id,omitempty"`
	Name      string `json:"name"`
	SteamID   string `json:"steam_id,omitempty"` // 17 digits; "" where the game told none
	Connected int64  `json:"connected"`          // seconds
	Ping      int    `json:"ping"`               // milliseconds
	Loss      int    `json:"loss,omitempty"`     // percent
}

// GameExit is how the game last ended.
type GameExit struct {
	At     time.Time `json:"at"`
	Code   int       `json:"code"`
	Signal string    `json:"signal,omitempty"`
	Cause  string    `json:"cause,omitempty"` // one sentence, of a game that runs again
}

// RCONOwner names the place a server's RCON password is sealed for.
func (s *Server) RCONOwner() string { return "server:" + s.ID + ":rcon_password" }

// EffectiveHostname is what players see in the server browser.
func (s *Server) EffectiveHostname() string {
	if s.Hostname != "" {
		return s.Hostname
	}
	return s.Name
}

// NewRCONPassword makes 24 random letters and digits: anything else is cut by
// the engine's argument parser somewhere.
func NewRCONPassword() string {
	return randomString("ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789", 24)
}

func randomString(alphabet string, n int) string {
	out := make([]byte, 0, n)
	limit := 256 - 256%len(alphabet) // reject the rest, or the first letters would come more often
	for len(out) < n {
		var b [1]byte
		_, _ = rand.Read(b[:]) // never fails
		if int(b[0]) < limit {
			out = append(out, alphabet[int(b[0])%len(alphabet)])
		}
	}
	return string(out)
}

// instanceName makes the host name of a new server: a slug of its name and four
// random characters, such as friday-versus-k3x9.
func instanceName(name string) string {
	var slug strings.Builder
	for _, r := range strings.ToLower(name) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			slug.WriteRune(r)
		case slug.Len() > 0 && !strings.HasSuffix(slug.String(), "-"):
			slug.WriteByte('-')
		}
		if slug.Len() >= 32 {
			break
		}
	}
	s := strings.Trim(slug.String(), "-")
	if s == "" {
		s = "server"
	}
	return s + "-" + randomString("abcdefghijkmnpqrstuvwxyz23456789", 4)
}

func (s *Server) check() error {
	s.Name, s.Hostname = strings.TrimSpace(s.Name), strings.TrimSpace(s.Hostname)
	if err := checkTitle("name", s.Name); err != nil {
		return err
	}
	if len(s.Hostname) > 128 {
		return Invalid("hostname", "The host name is too long; the game shows at most 128 bytes.")
	}
	if strings.ContainsFunc(s.Hostname, unicode.IsControl) {
		return Invalid("hostname", "The host name contains a control character. Type it again.")
	}
	return checkPort(s.Port)
}

func checkPort(port int) error {
	switch {
	case port < 1024 || port > 65535:
		return Invalid("port", "Choose a port from 1024 to 65535; 27015 and up are usual.")
	case port == 27005:
		return Invalid("port", "Port 27005 is what every server uses for outgoing traffic. Choose another, such as 27015.")
	case port == 27020:
		return Invalid("port", "Port 27020 is SourceTV's. Choose another, such as 27015.")
	}
	return nil
}

// CreateServer checks and inserts s, choosing its instance name, its RCON
// password and, if s.Port is 0, the next free port from 27015 on.
func CreateServer(ctx context.Context, tx bun.IDB, key *SecretKey, s *Server) error {
	s.Host = LocalHost
	if s.Port == 0 {
		port, err := NextFreePort(ctx, tx, s.Host)
		if err != nil {
			return err
		}
		s.Port = port
	}
	if err := s.check(); err != nil {
		return err
	}
	if err := ownsBlueprint(ctx, tx, s); err != nil {
		return err
	}
	now := Now()
	s.ID, s.Instance, s.CreatedAt, s.UpdatedAt = NewID(), instanceName(s.Name), now, now
	s.RCONPassword = key.Seal(s.RCONOwner(), NewRCONPassword())
	s.Desired, s.Observed, s.ObservedSince, s.ObservedAt = ServerStopped, ServerAbsent, now, now
	if err := freeForServer(ctx, tx, s); err != nil {
		return err
	}
	if _, err := tx.NewInsert().Model(s).Exec(ctx); err != nil {
		return serverTaken(s, violation(err))
	}
	return nil
}

// ownsBlueprint refuses a blueprint that is not the server's owner's.
func ownsBlueprint(ctx context.Context, db bun.IDB, s *Server) error {
	_, err := BlueprintByID(ctx, db, s.UserID, s.BlueprintID)
	if errors.Is(err, ErrNotFound) {
		return Invalid("blueprint", "Choose one of your blueprints.")
	}
	return err
}

// freeForServer says which of name and port is taken, before the constraint
// would say only that something is.
func freeForServer(ctx context.Context, db bun.IDB, s *Server) error {
	var other Server
	err := db.NewSelect().Model(&other).Where("id <> ?", s.ID).
		Where("(user_id = ? AND lower(name) = ?) OR (host = ? AND port = ?)", s.UserID, strings.ToLower(s.Name), s.Host, s.Port).
		Limit(1).Scan(ctx)
	switch err := found(err); {
	case errors.Is(err, ErrNotFound):
		return nil
	case err != nil:
		return fmt.Errorf("look for the same name or port: %w", err)
	case other.Port == s.Port && other.Host == s.Host && other.UserID == s.UserID:
		return Invalid("port", fmt.Sprintf("Port %d is used by your server %q. Choose another one.", s.Port, other.Name))
	case other.Port == s.Port && other.Host == s.Host:
		return Invalid("port", fmt.Sprintf("Port %d is used by another server on this host. Choose another one.", s.Port))
	}
	return Invalid("name", fmt.Sprintf("You already have a server called %q. Choose another name.", s.Name))
}

func serverTaken(s *Server, err error) error {
	if isTaken(err) { // lost a race after freeForServer had looked
		return Invalid("port", fmt.Sprintf("Port %d or the name %q was taken a moment ago. Choose another one.", s.Port, s.Name))
	}
	return fmt.Errorf("save server: %w", err)
}

func isTaken(err error) bool { return errors.Is(err, ErrTaken) }

// NextFreePort is the lowest port from 27015 to 27999 that no server of the host
// has. The reserved 27020 is skipped.
func NextFreePort(ctx context.Context, db bun.IDB, host string) (int, error) {
	var used []int
	err := db.NewSelect().Model((*Server)(nil)).Column("port").Where("host = ? AND port BETWEEN 27015 AND 27999", host).
		OrderExpr("port").Scan(ctx, &used)
	if err != nil {
		return 0, fmt.Errorf("list ports: %w", err)
	}
	taken := map[int]bool{27020: true}
	for _, p := range used {
		taken[p] = true
	}
	for p := 27015; p <= 27999; p++ {
		if !taken[p] {
			return p, nil
		}
	}
	return 0, Invalid("port", "Every port from 27015 to 27999 is used. Delete a server, or type a port of your own.")
}

// UpdateServer stores name, host name, port and blueprint; a port of 0 becomes the
// next free one. A running server takes them at its next start.
func UpdateServer(ctx context.Context, tx bun.IDB, s *Server) error {
	if s.Port == 0 {
		port, err := NextFreePort(ctx, tx, s.Host)
		if err != nil {
			return err
		}
		s.Port = port
	}
	if err := s.check(); err != nil {
		return err
	}
	if err := ownsBlueprint(ctx, tx, s); err != nil {
		return err
	}
	if err := freeForServer(ctx, tx, s); err != nil {
		return err
	}
	// Another blueprint may have the same revision number, and the host name and
	// port are in no blueprint: the host has to be given it all again.
	s.UpdatedAt, s.AppliedRevision = Now(), 0
	res, err := tx.NewUpdate().Model(s).Column("name", "hostname", "port", "blueprint_id", "updated_at", "applied_revision").WherePK().Exec(ctx)
	if err := oneRow(res, err); err != nil {
		return serverTaken(s, err)
	}
	return nil
}

// RenewRCON gives a server another RCON password. A running game keeps the one that
// it was started with until its next start.
func RenewRCON(ctx context.Context, tx bun.IDB, key *SecretKey, s *Server) error {
	s.RCONPassword, s.UpdatedAt, s.AppliedRevision = key.Seal(s.RCONOwner(), NewRCONPassword()), Now(), 0
	res, err := tx.NewUpdate().Model(s).Column("rcon_password", "updated_at", "applied_revision").WherePK().Exec(ctx)
	if err := oneRow(res, err); err != nil {
		return fmt.Errorf("renew the RCON password of %s: %w", s.Instance, err)
	}
	return nil
}

// ServerByInstance returns one of the user's servers with its blueprint.
// Somebody else's is ErrNotFound.
func ServerByInstance(ctx context.Context, db bun.IDB, userID, instance string) (*Server, error) {
	s := new(Server)
	err := db.NewSelect().Model(s).Relation("Blueprint").
		Where("server.host = ? AND server.instance = ? AND server.user_id = ?", LocalHost, instance, userID).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("server %s: %w", instance, found(err))
	}
	return s, nil
}

// ServerByID returns a server with its blueprint, whoever owns it.
func ServerByID(ctx context.Context, db bun.IDB, id string) (*Server, error) {
	s := new(Server)
	if err := db.NewSelect().Model(s).Relation("Blueprint").Where("server.id = ?", id).Scan(ctx); err != nil {
		return nil, fmt.Errorf("server: %w", found(err))
	}
	return s, nil
}

// Servers lists the user's servers with their blueprints by name, at most 500.
func Servers(ctx context.Context, db bun.IDB, userID string) ([]Server, error) {
	var list []Server
	err := db.NewSelect().Model(&list).Relation("Blueprint").Where("server.user_id = ?", userID).
		OrderExpr("lower(server.name)").Limit(500).Scan(ctx)
	return list, err
}

// ServersBriefly is Servers without what their blueprints say: a config may have 256 KB,
// and every server of a list would bring it along.
func ServersBriefly(ctx context.Context, db bun.IDB, userID string) ([]Server, error) {
	var list []Server
	named := func(q *bun.SelectQuery) *bun.SelectQuery { return q.ExcludeColumn("arguments", "config") }
	err := db.NewSelect().Model(&list).Relation("Blueprint", named).Where("server.user_id = ?", userID).
		OrderExpr("lower(server.name)").Limit(500).Scan(ctx)
	return list, err
}

// ServersUp lists the host's servers that run, or are to run, whoever owns them, by
// name, at most 500.
func ServersUp(ctx context.Context, db bun.IDB, host string) ([]Server, error) {
	var list []Server
	err := db.NewSelect().Model(&list).Where("host = ? AND (desired = ? OR observed NOT IN (?))", host, ServerRunning,
		bun.List([]ServerState{ServerStopped, ServerAbsent, ServerFailed})).OrderExpr("lower(name), id").Limit(500).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("list what runs: %w", err)
	}
	return list, nil
}

// SetDesired records what the user wants a server to be. What was to happen as soon
// as nobody plays is settled by that.
func SetDesired(ctx context.Context, db bun.IDB, id string, desired ServerState) error {
	res, err := db.NewUpdate().Model((*Server)(nil)).Set("desired = ?, apply_when_empty = ?, updated_at = ?", desired, false, Now()).Where("id = ?", id).Exec(ctx)
	return oneRow(res, err)
}

// Observation is one thing an observer saw.
type Observation struct {
	Host, Instance string
	State          ServerState
	Since          time.Time
	Status         ServerStatus
}

// StillObserved notes that nothing changed of the host's instances, and returns the
// ids of those that rows know, by instance.
func StillObserved(ctx context.Context, db bun.IDB, host string, instances []string) (map[string]string, error) {
	ids := make(map[string]string, len(instances))
	if len(instances) == 0 {
		return ids, nil
	}
	var rows []struct{ ID, Instance string }
	err := db.NewUpdate().Model((*Server)(nil)).Set("observed_at = ?", Now()).
		Where("host = ? AND instance IN (?)", host, bun.List(instances)).Returning("id, instance").Scan(ctx, &rows)
	if err := found(err); err != nil && !errors.Is(err, ErrNotFound) {
		return nil, fmt.Errorf("note what is as it was: %w", err)
	}
	for _, r := range rows {
		ids[r.Instance] = r.ID
	}
	return ids, nil
}

// ObserveAbsent makes every server of a host absent that is none of the instances
// that the host has and was not observed since before. It returns their ids.
func ObserveAbsent(ctx context.Context, db bun.IDB, host string, instances []string, before time.Time) ([]string, error) {
	var ids []string
	now := Now()
	q := db.NewUpdate().Model(&Server{}).Column("status").
		Set("observed = ?", ServerAbsent).Set("observed_since = ?", now).Set("observed_at = ?", now).
		Where("host = ? AND observed <> ? AND observed_at < ?", host, ServerAbsent, before.UTC())
	if len(instances) > 0 {
		q = q.Where("instance NOT IN (?)", bun.List(instances))
	}
	err := q.Returning("id").Scan(ctx, &ids)
	if err := found(err); err != nil && !errors.Is(err, ErrNotFound) {
		return nil, fmt.Errorf("note what is gone: %w", err)
	}
	return ids, nil
}

// ServersToRun lists the host's servers that are to run and that no unfinished job
// holds, by name, at most 1,000.
func ServersToRun(ctx context.Context, db bun.IDB, host string) ([]Server, error) {
	var list []Server
	err := db.NewSelect().Model(&list).Where("server.host = ? AND server.desired = ?", host, ServerRunning).
		Where("NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.server_id = server.id AND jobs.finished_at IS NULL)").
		OrderExpr("lower(server.name), server.id").Limit(1000).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("list what is to run: %w", err)
	}
	return list, nil
}

// HoldDesired keeps what the user wants a server to be until the transaction ends. It
// says whether it still is desired.
func HoldDesired(ctx context.Context, tx bun.IDB, id string, desired ServerState) (bool, error) {
	res, err := tx.NewUpdate().Model((*Server)(nil)).Set("desired = ?", desired).Where("id = ? AND desired = ?", id, desired).Exec(ctx)
	if err = oneRow(res, err); errors.Is(err, ErrConflict) {
		return false, nil
	}
	return err == nil, err
}

// Observe stores what the host said of a server and returns its id and owner.
// ErrNotFound when the host has an instance that no row knows.
func Observe(ctx context.Context, db bun.IDB, o Observation) (id, userID string, err error) {
	var row struct{ ID, UserID string }
	now := Now()
	if o.Since.IsZero() {
		o.Since = now
	}
	err = db.NewUpdate().Model(&Server{Status: o.Status}).Column("status").
		Set("observed = ?", o.State).Set("observed_since = ?", o.Since.UTC().Truncate(time.Microsecond)).Set("observed_at = ?", now).
		Where("host = ? AND instance = ?", o.Host, o.Instance).Returning("id, user_id").Scan(ctx, &row)
	if err != nil {
		return "", "", fmt.Errorf("observe %s: %w", o.Instance, found(err))
	}
	return row.ID, row.UserID, nil
}

// SetApplied records the blueprint revision that the host was given.
func SetApplied(ctx context.Context, db bun.IDB, id string, revision int64) error {
	res, err := db.NewUpdate().Model((*Server)(nil)).Set("applied_revision = ?", revision).Where("id = ?", id).Exec(ctx)
	return oneRow(res, err)
}

// DeleteServer removes the row. Its jobs stay, with no server.
func DeleteServer(ctx context.Context, db bun.IDB, id string) error {
	_, err := db.NewDelete().Model((*Server)(nil)).Where("id = ?", id).Exec(ctx)
	return violation(err)
}
