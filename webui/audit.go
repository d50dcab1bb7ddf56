package webui

import (
	"context"
	"encoding/csv"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"left4me/models"
)

const (
	auditPerPage = 100
	auditExport  = 10_000 // lines of one file
)

// auditPage is who did what, newest first.
type auditPage struct {
	Layout layout
	Rows   []auditRow
	Form   auditForm
	Older  string // the next page begins below this line; "" when this is the last
	First  bool
}

func (auditPage) template() string { return "audit.html" }

// auditForm is what the list is narrowed down to, as it was typed.
type auditForm struct {
	Person, Action, Subject, Day string
	Problem                      string // of the day
}

// auditRow is one line.
type auditRow struct{ models.AuditEntry }

// Words says what was done, for the actions that have no job whose title says it.
func (r auditRow) Words() string {
	if words, ok := actionWords[r.Action]; ok {
		return words
	}
	return r.Action
}

// Job is the address of the job that came of it, "" for none.
func (r auditRow) Job() string {
	if n, ok := strings.CutPrefix(r.Subject, "job:"); ok {
		if _, err := number(n); err == nil {
			return "/jobs/" + n
		}
	}
	return ""
}

// actionWords are the actions whose code does not speak for itself.
var actionWords = map[string]string{
	"session.begin": "Signed in", "session.end": "Signed out", "job.cancel": "Cancelled a job",
	"user.create": "Added a user", "user.delete": "Deleted a user", "user.deactivate": "Deactivated a user", "user.activate": "Activated a user",
	"user.admin": "Changed an administrator's rights", "user.password": "Changed their password", "user.reset_password": "Set somebody's password",
	"server.create": "Created a server", "server.edit": "Changed a server", "server.reveal_rcon": "Looked at an RCON password", "server.renew_rcon": "Made a new RCON password",
	"server.start": "Started a server", "server.stop": "Stopped a server", "server.restart": "Restarted a server", "server.reset": "Reset a server", "server.delete": "Deleted a server",
	"blueprint.create": "Created a blueprint", "blueprint.edit": "Changed a blueprint", "blueprint.delete": "Deleted a blueprint", "blueprint.apply": "Applied a blueprint",
	"overlay.create": "Created an overlay", "overlay.rename": "Renamed an overlay", "overlay.edit": "Changed an overlay", "overlay.items": "Changed an overlay's items",
	"overlay.script": "Changed a script", "overlay.build": "Built an overlay", "overlay.delete": "Deleted an overlay", "overlay.use": "Chose a version", "overlay.admit": "Let a refused file in",
	"overlay.publish": "Published changes to files", "overlay.drop": "Dropped changes to files", "overlay.draft": "Changed files", "overlay.upload": "Uploaded files",
	"game.install": "Installed the game", "game.account": "Changed the Steam account",
	"game.check": "Asked Steam for a new build", "game.update": "Updated the game", "game.stop": "Stopped a server for an update",
	"server.rcon": "Sent a command to a game", "server.say": "Wrote into a game's chat", "server.kick": "Kicked a player", "server.ban": "Banned a player",
	"server.unban": "Lifted a ban", "server.map": "Changed the map", "server.do_not_apply": "Took back a restart",
	"blueprint.copy": "Copied a blueprint", "blueprint.import": "Imported a blueprint", "game.web_key": "Changed the Steam Web API key",
	"overlay.gc": "Removed what nothing used", "overlay.refresh": "Looked for new workshop items", "workshop.download": "Fetched workshop items",
	"host.doctor": "Checked the host", "schedule.edit": "Changed a schedule", "server.restart_empty": "Restarted what was empty",
}

var (
	auditID     = regexp.MustCompile(`\A[0-9a-f-]{36}\z`)
	auditAction = regexp.MustCompile(`\A[a-z_.]{0,40}\z`)
)

// auditCursor is the line that a page begins below, "" for the newest.
func auditCursor(c *gin.Context) string {
	if before := c.Query("before"); auditID.MatchString(before) {
		return before
	}
	return ""
}

// auditRows reads at most limit lines, and the cursor of the next page.
func (s *Server) auditRows(ctx context.Context, f models.AuditFilter, limit int) (rows []auditRow, older string, err error) {
	list, err := models.AuditLog(ctx, s.DB, f, limit+1)
	if len(list) > limit {
		list = list[:limit]
		older = list[limit-1].ID
	}
	for _, e := range list {
		rows = append(rows, auditRow{e})
	}
	return rows, older, err
}

// readAuditFilter takes the filter out of the address. What no line can match
// selects nothing: ok is false.
func readAuditFilter(c *gin.Context) (form auditForm, f models.AuditFilter, ok bool) {
	form = auditForm{
		Person: clip(strings.TrimSpace(c.Query("person")), 64), Action: clip(strings.TrimSpace(c.Query("action")), 64),
		Subject: clip(strings.TrimSpace(c.Query("subject")), 200), Day: clip(strings.TrimSpace(c.Query("day")), 20),
	}
	f = models.AuditFilter{Person: form.Person, Action: form.Action, Subject: form.Subject, Before: auditCursor(c)}
	if strings.ContainsRune(form.Person+form.Subject, 0) || !auditAction.MatchString(form.Action) {
		return form, f, false
	}
	if form.Day != "" {
		day, err := time.Parse(time.DateOnly, form.Day)
		if err != nil || day.Year() < 1970 || day.Year() > 9999 {
			form.Problem = "Write the day as 2026-11-22."
			return form, f, false
		}
		f.Day = day
	}
	return form, f, true
}

func (s *Server) showAudit(c *gin.Context) error {
	form, filter, ok := readAuditFilter(c)
	p, status := auditPage{Form: form, First: filter.Before == ""}, http.StatusOK
	var err error
	if ok {
		if p.Rows, p.Older, err = s.auditRows(c.Request.Context(), filter, auditPerPage); err != nil {
			return err
		}
	} else if form.Problem != "" {
		status = http.StatusUnprocessableEntity
	}
	if p.Layout, err = s.layout(c, "Who did what", "admin"); err != nil {
		return err
	}
	return s.show(c, status, p)
}

// Query is the filter as a page's address has it, with '?' in front.
func (f auditForm) query(more ...string) string {
	v := url.Values{}
	for _, one := range [][2]string{{"person", f.Person}, {"action", f.Action}, {"subject", f.Subject}, {"day", f.Day}} {
		if one[1] != "" {
			v.Set(one[0], one[1])
		}
	}
	for i := 0; i+1 < len(more); i += 2 {
		v.Set(more[i], more[i+1])
	}
	if len(v) == 0 {
		return ""
	}
	return "?" + v.Encode()
}

// NewestPath, OlderPath and FilePath are the list's other addresses.
func (p auditPage) NewestPath() string { return "/admin/audit" + p.Form.query() }

// OlderPath is the next page.
func (p auditPage) OlderPath() string { return "/admin/audit" + p.Form.query("before", p.Older) }

// FilePath is the same list as a file.
func (p auditPage) FilePath() string { return "/admin/audit.csv" + p.Form.query() }

// Narrowed says whether the list is not the whole one.
func (p auditPage) Narrowed() bool { return p.Form.query() != "" }

// exportAudit writes the list as CSV, newest first, at most auditExport lines.
func (s *Server) exportAudit(c *gin.Context) error {
	_, filter, ok := readAuditFilter(c)
	if !ok {
		return models.ErrNotFound
	}
	c.Header("Content-Type", "text/csv; charset=utf-8; header=present")
	c.Header("Content-Disposition", `attachment; filename="left4me-audit.csv"`)
	out := csv.NewWriter(c.Writer)
	if err := out.Write([]string{"at", "person", "address", "action", "subject", "detail"}); err != nil {
		return nil //nolint:nilerr // the visitor left
	}
	for n := 0; n < auditExport; n += 500 {
		list, err := models.AuditLog(c.Request.Context(), s.DB, filter, 500)
		if err != nil {
			return err
		}
		for _, e := range list {
			_ = out.Write([]string{e.At.UTC().Format(time.RFC3339), cell(e.UserName), cell(e.Address), cell(e.Action), cell(e.Subject), cell(e.Detail)}) // a visitor who left is not an error
			filter.Before = e.ID
		}
		if len(list) < 500 {
			break
		}
	}
	out.Flush()
	return nil
}

// cell makes a text safe in a spreadsheet, which would run one that begins with any
// of "=+-@" as a formula, also behind blanks.
func cell(text string) string {
	text = cleanText(text)
	if strings.IndexAny(strings.TrimLeft(text, " \t\r\n\u00a0\uFFFD"), "=+-@\uff1d\uff0b\uff0d\uff20") == 0 {
		return "'" + text
	}
	return text
}
