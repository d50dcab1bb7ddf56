package webui

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"left4me/jobs"
	"left4me/models"
	"left4me/models/modelstest"
)

// TestAttack13Rights tries every route as a stranger, as the owner of the thing, as
// another user, as an administrator and as a user who was deactivated, who gets what
// a stranger gets. A route that the table does not name fails it.
func TestAttack13Rights(t *testing.T) {
	const (
		ok     = 200
		to     = 303 // a redirect: done, or to the sign-in
		none   = 404
		no     = 403
		asks   = 401
		wrong  = 422
		absent = 204
	)
	type row struct{ stranger, owner, other, admin int }
	everybody, users := row{ok, ok, ok, ok}, row{to, ok, ok, ok}
	owners, admins := row{to, ok, none, none}, row{to, no, no, ok}
	ownersDo := row{to, to, none, none}
	table := map[string]row{
		"GET /healthz":                                   everybody,
		"GET /readyz":                                    everybody,
		"GET /metrics":                                   {none, none, none, ok},
		"GET /static/:file":                              everybody,
		"GET /favicon.ico":                               everybody,
		"GET /signin":                                    {ok, to, to, to},
		"POST /signin":                                   {wrong, wrong, wrong, wrong},
		"POST /signout":                                  {to, to, to, to},
		"GET /account":                                   users,
		"POST /account/password":                         {to, wrong, wrong, wrong},
		"POST /account/sessions/end":                     {to, to, to, to},
		"POST /account/sessions/:session/end":            {to, to, none, none},
		"GET /admin/users":                               admins,
		"POST /admin/users":                              {to, no, no, wrong},
		"GET /admin/users/:user":                         admins,
		"POST /admin/users/:user/password":               {to, no, no, ok}, // one is made and shown
		"POST /admin/users/:user/admin":                  {to, no, no, wrong},
		"POST /admin/users/:user/deactivate":             admins, // it asks first
		"POST /admin/users/:user/activate":               {to, no, no, to},
		"POST /admin/users/:user/delete":                 admins, // it asks first
		"GET /admin/audit":                               admins,
		"GET /admin/audit.csv":                           admins,
		"GET /events":                                    {asks, ok, none, none},
		"GET /":                                          {to, to, to, to},
		"GET /servers":                                   users,
		"GET /servers/new":                               users,
		"POST /servers":                                  {to, wrong, wrong, wrong},
		"POST /servers/act":                              {to, wrong, wrong, wrong}, // nothing was chosen
		"GET /servers/:instance":                         owners,
		"GET /servers/:instance/log":                     owners,
		"GET /servers/:instance/log.txt":                 owners,
		"GET /servers/:instance/files":                   {to, 503, none, none}, // the site of this test sees no files
		"GET /servers/:instance/files/text":              {to, 503, none, none},
		"GET /servers/:instance/files/download":          {to, 503, none, none},
		"GET /servers/:instance/console":                 owners,
		"POST /servers/:instance/console":                {to, wrong, none, none},
		"GET /servers/:instance/console/:command":        owners,
		"GET /servers/:instance/map":                     owners,
		"POST /servers/:instance/map":                    {to, wrong, none, none},
		"GET /servers/:instance/players":                 owners,
		"POST /servers/:instance/players/kick":           owners, // they ask first
		"POST /servers/:instance/players/ban":            owners,
		"POST /servers/:instance/players/unban":          owners,
		"GET /players/:steamid/avatar":                   {to, none, none, none}, // never seen
		"GET /servers/:instance/history":                 owners,
		"GET /servers/:instance/jobs":                    owners,
		"GET /servers/:instance/settings":                owners,
		"POST /servers/:instance":                        {to, wrong, none, none},
		"POST /servers/:instance/start":                  ownersDo,
		"POST /servers/:instance/stop":                   ownersDo,
		"POST /servers/:instance/restart":                ownersDo,
		"POST /servers/:instance/apply":                  ownersDo,
		"POST /servers/:instance/reset":                  owners, // it asks first
		"POST /servers/:instance/delete":                 owners, // it asks first
		"POST /servers/:instance/rcon":                   owners,
		"POST /servers/:instance/rcon/renew":             owners, // it asks first
		"GET /blueprints":                                users,
		"GET /blueprints/new":                            users,
		"POST /blueprints":                               {to, wrong, wrong, wrong},
		"GET /blueprints/import":                         users,
		"POST /blueprints/import":                        {to, wrong, wrong, wrong},
		"GET /blueprints/:id/export":                     owners,
		"POST /blueprints/:id/copy":                      ownersDo,
		"POST /arguments":                                users,
		"GET /blueprints/:id":                            owners,
		"POST /blueprints/:id":                           {to, wrong, none, none},
		"POST /blueprints/:id/apply":                     ownersDo,
		"POST /blueprints/:id/overlays":                  {to, wrong, none, none},
		"GET /blueprints/:id/stack":                      {to, 503, none, none}, // the site of this test sees no files
		"GET /blueprints/:id/maps":                       owners,
		"POST /blueprints/:id/map":                       ownersDo,
		"POST /blueprints/:id/preview":                   owners,
		"GET /campaigns":                                 users,
		"POST /blueprints/:id/delete":                    owners,
		"GET /overlays":                                  users,
		"GET /overlays/new":                              users,
		"POST /overlays":                                 {to, wrong, wrong, wrong},
		"GET /overlays/:overlay":                         owners,
		"POST /overlays/:overlay/name":                   {to, wrong, none, none},
		"POST /overlays/:overlay/delete":                 owners, // it asks first
		"POST /overlays/:overlay/items":                  {to, wrong, none, none},
		"POST /overlays/:overlay/items/remove":           {to, none, none, none}, // no such item
		"POST /overlays/:overlay/download":               ownersDo,
		"POST /overlays/:overlay/recipe":                 {to, none, none, none}, // it is no recipe
		"GET /overlays/:overlay/versions":                owners,
		"GET /overlays/:overlay/versions/:number":        {to, ok, none, ok},    // administrators judge refused files
		"GET /overlays/:overlay/versions/:number/file":   {to, 503, none, none}, // the site of this test sees no files
		"POST /overlays/:overlay/versions/:number/use":   ownersDo,
		"POST /overlays/:overlay/versions/:number/admit": {to, no, no, none},
		"POST /overlays/:overlay/script":                 {to, 409, none, none}, // of no revision
		"POST /overlays/:overlay/files":                  {to, 503, none, none},
		"GET /overlays/:overlay/files/entry":             {to, wrong, none, none},
		"GET /overlays/:overlay/files/download":          {to, 503, none, none},
		"POST /overlays/:overlay/files/save":             {to, 503, none, none},
		"POST /overlays/:overlay/files/folder":           {to, wrong, none, none},
		"POST /overlays/:overlay/files/move":             {to, wrong, none, none},
		"POST /overlays/:overlay/files/delete":           {to, wrong, none, none},
		"POST /overlays/:overlay/uploads":                {to, wrong, none, none},
		"GET /overlays/:overlay/uploads/:upload":         owners,
		"PUT /overlays/:overlay/uploads/:upload":         {to, 503, none, none},
		"POST /overlays/:overlay/uploads/:upload/cancel": ownersDo,
		"POST /overlays/:overlay/draft/publish":          {to, wrong, none, none}, // it is empty
		"POST /overlays/:overlay/draft/drop":             owners,                  // it asks first
		"POST /overlays/:overlay/draft/remove":           {to, none, none, none},  // no such change
		"GET /workshop/:item/image":                      {to, none, none, none},
		"GET /game":                                      users,
		"POST /game/install":                             {to, no, no, to},
		"POST /game/check":                               {to, no, no, to},
		"GET /game/update":                               admins,
		"POST /game/update":                              {to, no, no, to},
		"GET /admin":                                     admins,
		"GET /admin/host":                                admins,
		"POST /admin/host/check":                         {to, no, no, to},
		"GET /admin/schedules":                           admins,
		"POST /admin/schedules/:schedule":                {to, no, no, wrong},
		"POST /admin/schedules/:schedule/run":            {to, no, no, to},
		"POST /game/account":                             {to, no, no, wrong},
		"POST /game/key":                                 {to, no, no, wrong},
		"POST /game/key/forget":                          {to, no, no, to},
		"POST /game/account/forget":                      {to, no, no, to},
		"GET /jobs":                                      users,
		"GET /jobs/:number":                              {to, ok, none, ok},
		"GET /jobs/:number/log":                          {to, ok, none, ok},
		"GET /jobs/:number/log.txt":                      {to, ok, none, ok},
		"POST /jobs/:number/cancel":                      {to, to, none, to},
		"POST /jobs/:number/retry":                       {to, 409, none, 409},
		"GET /admin/queues":                              admins,
		"GET /admin/queues/*rest":                        admins,
	}
	monitor := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "monitor") })
	probe := newSite(t, func(c *Config) { c.Monitor, c.MonitorReadOnly = monitor, true })
	known := map[string]bool{}
	for _, r := range probe.routes() {
		name := r.method + " " + r.path
		known[name] = true
		if _, ok := table[name]; !ok {
			t.Errorf("the route %s is not in the table of rights: decide who may use it and add it", name)
		}
		for param, rights := range rightsOf {
			if strings.Contains(r.path+"/", param+"/") && !slices.Contains(rights, r.right) {
				t.Errorf("the route %s names a thing, and its right does not ask whose that is", name)
			}
		}
	}
	engine, err := probe.engine()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range engine.Routes() {
		if !known[r.Method+" "+r.Path] {
			t.Errorf("%s %s is served and is not in routes()", r.Method, r.Path)
		}
	}
	for name, want := range table {
		if !known[name] {
			t.Errorf("the table names %s, which is no route", name)
			continue
		}
		for role, status := range map[string]int{"stranger": want.stranger, "deactivated": want.stranger, "owner": want.owner, "other": want.other, "admin": want.admin} {
			t.Run(name+" as "+role, func(t *testing.T) {
				probe.tryRoute(t, name, role, status)
			})
		}
	}
}

// rightsOf are the rights that a route may have whose address names such a thing.
var rightsOf = map[string][]right{
	"/servers/:instance":   {ownServer},
	"/blueprints/:id":      {ownBlueprint},
	"/overlays/:overlay":   {seeOverlay, changeOverlay, judgeOverlay, adminOnly},
	"/jobs/:number":        {seeJob},
	"/admin":               {adminOnly},
	"/users/:user":         {adminOnly},
	"/schedules/:schedule": {adminOnly},
}

// things is one of everything that an address can name, all of one user.
type things struct {
	owner, other, admin, gone *models.User
	srv                       *models.Server
	job                       *models.Job
	overlay                   *models.Overlay
	upload                    *models.Upload
	command                   *models.ConsoleCommand
	session                   string // of another browser of the owner's
}

// thingsFor makes things, and people of its own unless owner is given, for a try of
// the route.
func (s *site) thingsFor(t *testing.T, route string, owner *models.User) *things {
	t.Helper()
	ctx := context.Background()
	th := &things{owner: owner, other: modelstest.User(t, s.db, false), admin: modelstest.User(t, s.db, true), gone: modelstest.User(t, s.db, false)}
	if owner == nil {
		th.owner = modelstest.User(t, s.db, false)
	}
	by := models.Actor{ID: th.owner.ID, Name: th.owner.Name}
	th.srv = modelstest.Server(t, s.db, s.key, th.owner)
	var err error
	if th.job, err = s.Jobs.Enqueue(ctx, by, jobs.StartServer{ServerID: th.srv.ID}); err != nil {
		t.Fatal(err)
	}
	kind := models.OverlayWorkshop
	switch _, below, _ := strings.Cut(route, "/:overlay/"); {
	case strings.HasPrefix(below, "files"), strings.HasPrefix(below, "uploads"), strings.HasPrefix(below, "draft"):
		kind = models.OverlayFiles
	case below == "script":
		kind = models.OverlayScript
	}
	th.overlay = modelstest.Overlay(t, s.db, th.owner, kind)
	modelstest.Publish(t, s.db, th.overlay, th.job.ID)
	th.upload = &models.Upload{UserID: th.owner.ID, OverlayID: th.overlay.ID, Name: "a.vpk", Size: 10, Op: "put"}
	if err := models.CreateUpload(ctx, s.db, th.upload); err != nil {
		t.Fatal(err)
	}
	if th.session, err = models.CreateSession(ctx, s.db, th.owner.ID, "192.0.2.1", "another browser"); err != nil {
		t.Fatal(err)
	}
	th.command, err = s.Jobs.Command(ctx, by, th.srv, jobs.Command{Verb: models.CommandUnban, CommandArguments: models.CommandArguments{SteamID: "STEAM_1:0:5"}})
	if err != nil {
		t.Fatal(err)
	}
	return th
}

// address is the route's method, and its path with these things in it.
func (th *things) address(s *site, route string) (method, path string) {
	method, path, _ = strings.Cut(route, " ")
	return method, strings.NewReplacer(":instance", th.srv.Instance, ":id", th.srv.BlueprintID, ":number", fmt.Sprint(th.job.ID),
		":overlay", fmt.Sprint(th.overlay.ID), ":upload", th.upload.ID, ":command", th.command.ID, ":user", th.owner.ID, ":session", models.SessionID(th.session),
		":item", "121086524", ":schedule", "game.check", ":file", s.static.byName["app.css"], "*rest", "x").Replace(path)
}

// deactivated is the browser of somebody who was signed in when they were
// deactivated.
func (s *site) deactivated(t *testing.T, u *models.User) *browser {
	t.Helper()
	b := s.browser(u)
	if _, err := s.db.NewUpdate().Model((*models.User)(nil)).Set("active = ?", false).Where("id = ?", u.ID).Exec(context.Background()); err != nil {
		t.Fatal(err)
	}
	return b
}

// tryRoute makes people and things of its own, so that no try sees what another
// one did.
func (s *site) tryRoute(t *testing.T, name, role string, want int) {
	th := s.thingsFor(t, name, nil)
	srv, owner := th.srv, th.owner
	var who *browser
	switch role {
	case "stranger":
		who = s.browser(nil)
	case "owner":
		who = s.browser(owner)
	case "other":
		who = s.browser(th.other)
	case "admin":
		who = s.browser(th.admin)
	case "deactivated":
		who = s.deactivated(t, th.gone)
	}
	method, path := th.address(s, name)
	if path == "/events" {
		if role == "owner" { // a stream that works does not end; the streams' own tests open it
			return
		}
		path += "?topics=server:" + srv.Instance
	}
	var form url.Values
	if method == http.MethodPost {
		form = url.Values{}
	}
	got := who.send(method, path, form)
	if got.StatusCode != want {
		t.Fatalf("%s %s: status %d, want %d; body:\n%s", method, path, got.StatusCode, want, clip(got.Text, 500))
	}
	location := got.Header.Get("Location")
	nobody := role == "stranger" || role == "deactivated"
	if nobody && want == http.StatusSeeOther && !strings.HasPrefix(location, "/signin") {
		t.Errorf("%s is sent to %q, want the sign-in", role, location)
	}
	if !nobody && strings.HasPrefix(location, "/signin") && path != "/signout" {
		t.Errorf("%s is sent to %q", role, location)
	}
	if want == http.StatusNotFound && (strings.Contains(got.Text, srv.Name) || strings.Contains(got.Text, owner.Name)) {
		t.Errorf("the refusal tells about somebody else's thing:\n%s", got.Text)
	}
}

// TestAttack16ListsShowOnlyOwnThings looks for one user's things on every list that
// another one can open.
func TestAttack16ListsShowOnlyOwnThings(t *testing.T) {
	s := newSite(t)
	owner, other := modelstest.User(t, s.db, false), modelstest.User(t, s.db, false)
	srv, maps := modelstest.Server(t, s.db, s.key, owner), modelstest.Overlay(t, s.db, owner, models.OverlayWorkshop)
	if _, err := s.Jobs.Enqueue(context.Background(), models.Actor{ID: owner.ID, Name: owner.Name}, jobs.StartServer{ServerID: srv.ID}); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/servers", "/servers/new", "/blueprints", "/overlays", "/jobs", "/jobs?state=unfinished", "/game", "/account"} {
		mine, theirs := s.browser(owner).get(path), s.browser(other).get(path)
		mine.want(t, 200)
		theirs.want(t, 200)
		for _, secret := range []string{srv.Name, srv.Instance, srv.BlueprintID, overlayPath(maps.ID) + `"`, owner.Name} {
			if strings.Contains(theirs.Text, secret) {
				t.Errorf("%s shows %q of somebody else", path, secret)
			}
		}
	}
	if got := s.browser(owner).get("/jobs").Text; !strings.Contains(got, "Start "+srv.Name) {
		t.Errorf("the owner's list lacks their own job:\n%s", clip(got, 3000))
	}
}

// TestAttack15MassAssignment sends fields that no form has.
func TestAttack15MassAssignment(t *testing.T) {
	s := newSite(t)
	ctx := context.Background()
	owner, other := modelstest.User(t, s.db, false), modelstest.User(t, s.db, false)
	srv := modelstest.Server(t, s.db, s.key, owner)
	foreign := modelstest.Blueprint(t, s.db, other)
	b := s.browser(owner)
	extra := url.Values{
		"name": {"Renamed"}, "port": {"27100"}, "blueprint": {srv.BlueprintID}, "user_id": {other.ID}, "UserID": {other.ID},
		"instance": {"x"}, "Instance": {"x"}, "observed": {"running"}, "desired": {"running"}, "id": {"1"}, "host": {"elsewhere"}, "admin": {"true"},
	}
	b.post("/servers/"+srv.Instance, extra).want(t, 303)
	got, err := models.ServerByID(ctx, s.db, srv.ID)
	if err != nil {
		t.Fatal(err)
	}
	if got.Name != "Renamed" || got.Port != 27100 {
		t.Errorf("the fields of the form were not stored: %q, %d", got.Name, got.Port)
	}
	if got.UserID != owner.ID || got.Instance != srv.Instance || got.Observed != srv.Observed || got.Desired != srv.Desired || got.Host != srv.Host {
		t.Errorf("a field that no form has was stored: %+v", got)
	}
	extra.Set("blueprint", foreign.ID)
	b.post("/servers/"+srv.Instance, extra).want(t, 422, "Choose one of your blueprints.")
}

// TestAttack13WriteableMonitor: where the queue monitor may be written to, that is for
// administrators, too.
func TestAttack13WriteableMonitor(t *testing.T) {
	s := newSite(t, func(c *Config) {
		c.Monitor = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "monitor") })
	})
	admin, plain := s.browser(modelstest.User(t, s.db, true)), s.browser(modelstest.User(t, s.db, false))
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
		admin.send(method, MonitorPath+"/api/queues", nil).want(t, 200, "monitor")
		plain.send(method, MonitorPath+"/api/queues", nil).want(t, 403)
		s.browser(nil).send(method, MonitorPath+"/api/queues", nil).want(t, 303)
	}
}
