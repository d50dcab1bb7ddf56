package webui

import (
	"testing"

	"left4me/models/modelstest"
)

// A signed-in user could ask for as many searches, histories, folders and downloads at
// once as they liked, and take every core and all memory.
func TestAttack27HeavyPagesAtOnce(t *testing.T) {
	t.Parallel()
	s, content, me, srv := gameSite(t)
	content.files["logs/a.log"] = "a line"
	b, other := s.browser(me), s.browser(modelstest.User(t, s.db, false))
	heavy := []string{"/log?q=x", "/history?span=month", "/files", "/files?view=all"}
	downloads := []string{"/log.txt", "/files/download?path=logs/a.log"}
	get := func(status int, paths []string) {
		t.Helper()
		for _, path := range paths {
			b.get("/servers/"+srv.Instance+path).want(t, status)
			other.get("/servers/"+srv.Instance+path).want(t, 404) // whose it is comes first
		}
	}
	busy := func(key string) (done func()) {
		var leave []func()
		for {
			one, ok := s.heavy.enter(key)
			if !ok {
				return func() {
					for _, one := range leave {
						one()
					}
				}
			}
			leave = append(leave, one)
		}
	}
	searched := busy(me.ID)
	get(429, heavy)
	get(200, downloads)
	searched()
	downloaded := busy("download " + me.ID)
	get(429, downloads)
	get(200, append(heavy, "/log"))
	downloaded()
	get(200, append(heavy, downloads...))
}
