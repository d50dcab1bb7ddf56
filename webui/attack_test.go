package webui

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"left4me/models"
	"left4me/models/modelstest"
)

// contents is what every table of the database holds, by table. Rows that a look
// around may change are left out: a session says when it was last used.
func (s *site) contents() map[string]string {
	s.t.Helper()
	ctx := context.Background()
	var tables []string
	err := s.db.NewRaw("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE 'bun_%' ORDER BY name").Scan(ctx, &tables)
	if err != nil {
		s.t.Fatal(err)
	}
	sums := map[string]string{}
	for _, table := range tables {
		if table == "sessions" {
			continue
		}
		rows, err := s.db.QueryContext(ctx, `SELECT * FROM "`+table+`" ORDER BY rowid`)
		if err != nil {
			s.t.Fatal(err)
		}
		sum := sha256.New()
		columns, err := rows.Columns()
		if err != nil {
			s.t.Fatal(err)
		}
		for rows.Next() {
			values := make([]any, len(columns))
			for i := range values {
				values[i] = new(any)
			}
			if err := rows.Scan(values...); err != nil {
				s.t.Fatal(err)
			}
			for _, v := range values {
				_, _ = fmt.Fprintf(sum, "%v\x00", *v.(*any)) // writing to memory does not fail
			}
		}
		if err := rows.Err(); err != nil {
			s.t.Fatal(err)
		}
		_ = rows.Close() // read to the end
		sums[table] = hex.EncodeToString(sum.Sum(nil))
	}
	return sums
}

// changed names the tables that differ.
func changed(before, after map[string]string) []string {
	var list []string
	for table, sum := range after {
		if before[table] != sum {
			list = append(list, table)
		}
	}
	slices.Sort(list)
	return list
}

// TestAttack14ChildOfAnotherParent: in an address with two ids, the second must
// belong to the first; another thing of the same user, and of another user, is not
// found and not changed.
func TestAttack14ChildOfAnotherParent(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	// The second id of each such route, out of other things.
	children := map[string]func(*things) string{
		":number":  func(th *things) string { return fmt.Sprint(th.overlay.Version) },
		":upload":  func(th *things) string { return th.upload.ID },
		":command": func(th *things) string { return th.command.ID },
	}
	tried := 0
	for _, r := range s.routes() {
		if strings.Count(r.path, "/:") < 2 {
			continue
		}
		parts := strings.Split(r.path, "/")
		at := len(parts) - 1
		for !strings.HasPrefix(parts[at], ":") {
			at--
		}
		child, known := children[parts[at]]
		if !known {
			t.Errorf("%s %s: say here what its second id names", r.method, r.path)
			continue
		}
		for _, whose := range []string{"another thing of the same user", "a thing of another user"} {
			t.Run(r.method+" "+r.path+" "+whose, func(t *testing.T) {
				mine := s.thingsFor(t, r.path, nil)
				owner := mine.owner
				if whose == "a thing of another user" {
					owner = nil
				}
				theirs := s.thingsFor(t, r.path, owner)
				u := mine.owner
				if r.right == adminOnly {
					u = mine.admin
				}
				path := strings.Join(append(slices.Clone(parts[:at]), child(theirs)), "/")
				if rest := parts[at+1:]; len(rest) > 0 {
					path += "/" + strings.Join(rest, "/")
				}
				_, path = mine.address(s, r.method+" "+path)
				if strings.Contains(r.path, "files") || strings.HasSuffix(r.path, "/file") {
					path += "?path=a"
				}
				b, before := s.browser(u), s.contents()
				var form url.Values
				if r.method == http.MethodPost {
					form = url.Values{"sure": {"yes"}, "sha256": {"x"}}
				}
				b.send(r.method, path, form).want(t, 404)
				if list := changed(before, s.contents()); len(list) > 0 {
					t.Errorf("%s %s changed %q", r.method, path, list)
				}
			})
			tried++
		}
	}
	if tried < 10 {
		t.Errorf("only %d tries: where are the routes with two ids?", tried)
	}
}

// TestAttack21ForeignOrigins: no request that changes something is obeyed when it
// comes from another site, whichever of the two signs says so.
func TestAttack21ForeignOrigins(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	th := s.thingsFor(t, "", nil)
	before := s.contents()
	for _, r := range s.routes() {
		if r.method == http.MethodGet || r.method == http.MethodHead {
			continue
		}
		for name, headers := range map[string][]string{
			"origin":      {"Origin", "https://evil.example"},
			"null origin": {"Origin", "null"},
			"cross-site":  {"Sec-Fetch-Site", "cross-site"},
			"same-site":   {"Sec-Fetch-Site", "same-site", "Origin", "https://other.left4.example"},
		} {
			method, path := th.address(s, r.method+" "+r.path)
			for _, u := range []*models.User{th.owner, th.admin} {
				got := s.browser(u).send(method, path, url.Values{"sure": {"yes"}}, headers...)
				if got.StatusCode != 403 || !strings.Contains(got.Text, "came from another site") {
					t.Errorf("%s %s with %s answers %d", method, path, name, got.StatusCode)
				}
			}
		}
	}
	if list := changed(before, s.contents()); len(list) > 0 {
		t.Errorf("tables changed: %q", list)
	}
	for _, site := range []string{"cross-site", "same-site"} {
		s.browser(th.owner).get("/events?topics=strip", "Sec-Fetch-Site", site).want(t, 403)
	}
}

// TestAttack21LooksChangeNothing: no GET changes what is stored, the sign-out
// included, which is no GET.
func TestAttack21LooksChangeNothing(t *testing.T) {
	t.Parallel()
	monitor := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "monitor") })
	s := newSite(t, func(c *Config) { c.Monitor, c.MonitorReadOnly = monitor, true })
	for _, r := range s.routes() {
		if r.method != http.MethodGet || r.path == "/events" { // a stream does not end; it only reads
			continue
		}
		th := s.thingsFor(t, r.path, nil)
		_, path := th.address(s, "GET "+r.path)
		for _, u := range []*models.User{th.owner, th.admin} {
			b, before := s.browser(u), s.contents()
			b.get(path + "?sure=yes&admin=on&state=x&path=a&q=a")
			if list := changed(before, s.contents()); len(list) > 0 {
				t.Errorf("GET %s changed %q", path, list)
			}
		}
	}
	b := s.browser(modelstest.User(t, s.db, false))
	b.get("/signout").want(t, 405)
	b.get("/servers").want(t, 200)
}

// TestAttack28NumbersInAddresses: no number or order in an address breaks a page:
// what is none begins at the newest or is not found.
func TestAttack28NumbersInAddresses(t *testing.T) {
	t.Parallel()
	monitor := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "monitor") })
	s := newSite(t, func(c *Config) { c.Monitor, c.MonitorReadOnly = monitor, true })
	odd := []string{"-1", "9223372036854775807", "9223372036854775808", "-9223372036854775808", "1e9", "NaN", "", "id%3BDROP%20TABLE%20users", "%00", "%ff", strings.Repeat("9", 400)}
	names := []string{"before", "after", "page", "offset", "limit", "sort", "order", "span", "from", "to", "day", "number", "state", "filter", "q", "line", "path", "minutes"}
	for _, r := range s.routes() {
		if r.method != http.MethodGet || r.path == "/events" {
			continue
		}
		th := s.thingsFor(t, r.path, nil)
		boss := s.browser(th.admin)
		b := s.browser(th.owner)
		if r.right == adminOnly || r.right == metrics {
			b = boss
		}
		for _, value := range odd {
			query := "?" + strings.Join(names, "="+value+"&") + "=" + value
			_, path := th.address(s, "GET "+r.path)
			if got := b.get(path + query); got.StatusCode >= 500 && got.StatusCode != 503 { // 503: this site sees no files
				t.Errorf("GET %s%s answers %d", path, clip(query, 100), got.StatusCode)
			}
			parts := strings.Split(r.path, "/")
			last := slices.IndexFunc(parts, func(p string) bool { return strings.HasPrefix(p, ":") })
			if last < 0 || value == "" {
				continue
			}
			parts[last] = value
			_, path = th.address(s, "GET "+strings.Join(parts, "/"))
			if got := b.get(path); got.StatusCode >= 500 && got.StatusCode != 503 || got.StatusCode == 200 {
				t.Errorf("GET %s answers %d", clip(path, 100), got.StatusCode)
			}
		}
	}
	boss := s.browser(modelstest.User(t, s.db, true))
	for _, topics := range []string{"job:-1", "job:9223372036854775808", "job:x", "overlay:0", "overlay:1e3", "server:%00", "nothing", "", strings.Repeat("strip,", 500) + "x:1", "jobs:unfinished%27"} {
		boss.get("/events?topics="+topics).want(t, 404)
	}
}
