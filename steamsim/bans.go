package steamsim

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// bans are the filter lists, and the failed RCON logins that lead there. Only
// permanent bans are written to a file, and only server.cfg brings them back
// (`exec banned_ip.cfg`).
type bans struct {
	ips      []ban
	ids      []ban
	failures map[netip.Addr][]time.Time
}

type ban struct {
	who   string
	until time.Time // zero: forever
}

func (b ban) over(now time.Time) bool { return !b.until.IsZero() && !now.Before(b.until) }

func (b ban) left(now time.Time) string {
	if b.until.IsZero() {
		return "permanent"
	}
	return fmt.Sprintf("%.3f min", b.until.Sub(now).Minutes())
}

// add puts who on a list, for so many minutes or, with 0, forever.
func add(list []ban, who string, minutes float64) []ban {
	b := ban{who: who}
	if minutes > 0 {
		b.until = time.Now().Add(time.Duration(minutes * float64(time.Minute)))
	}
	return append(remove(list, who), b)
}

func remove(list []ban, who string) []ban {
	now := time.Now()
	var kept []ban
	for _, b := range list {
		if b.who != who && !b.over(now) {
			kept = append(kept, b)
		}
	}
	return kept
}

func (b *bans) forgive(a netip.Addr) { delete(b.failures, a) }

func (s *server) isBanned(a netip.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for _, b := range s.bans.ips {
		if b.who == a.String() && !b.over(now) {
			return true
		}
	}
	return false
}

// rconFailure counts a failed login and bans the address that fails too often:
// sv_rcon_minfailures within sv_rcon_minfailuretime seconds, or
// sv_rcon_maxfailures at all. The caller holds s.mu.
func (s *server) rconFailure(a netip.Addr) {
	now := time.Now()
	if s.bans.failures == nil {
		s.bans.failures = map[netip.Addr][]time.Time{}
	}
	all := append(s.bans.failures[a], now)
	s.bans.failures[a] = all
	window := time.Duration(s.number("sv_rcon_minfailuretime") * float64(time.Second))
	recent := 0
	for _, t := range all {
		if now.Sub(t) <= window {
			recent++
		}
	}
	if recent < int(s.number("sv_rcon_minfailures")) && len(all) < int(s.number("sv_rcon_maxfailures")) {
		return
	}
	s.bans.forgive(a)
	s.printf("Banning %s for rcon hacking attempts\n", a)
	s.bans.ips = add(s.bans.ips, a.String(), s.number("sv_rcon_banpenalty"))
	s.writeBans("banned_ip.cfg", "addip", s.bans.ips)
}

// writeBans stores the permanent entries of a list as commands.
func (s *server) writeBans(file, verb string, list []ban) {
	var b strings.Builder
	for _, e := range list {
		if e.until.IsZero() {
			fmt.Fprintf(&b, "%s 0 %s\n", verb, e.who)
		}
	}
	if err := os.WriteFile(filepath.Join(s.game, "cfg", file), []byte(b.String()), 0o644); err != nil {
		s.printf("Couldn't write cfg/%s: %v\n", file, err)
	}
}

func (s *server) cmdBanid(c command) {
	who := c.arg(1)
	if who == "" {
		s.print("Usage:  banid <minutes> <userid | uniqueid> { kick }\n")
		return
	}
	if strings.HasPrefix(who, "STEAM_") && len(c.args) >= 6 { // unquoted ids fall apart at the colons
		who = strings.Join(c.args[1:6], "")
	}
	target := s.world.find(who)
	if target != nil {
		who = target.steamID
	}
	s.bans.ids = add(s.bans.ids, who, leadingNumber(c.arg(0)))
	if target != nil && c.args[len(c.args)-1] == "kick" {
		s.drop(target, "Added to banned list")
	}
}

func (s *server) cmdRemoveid(c command) { s.bans.ids = remove(s.bans.ids, cvarValue(c.rest)) }
func (s *server) cmdWriteid(command)    { s.writeBans("banned_user.cfg", "banid", s.bans.ids) }
func (s *server) cmdWriteip(command)    { s.writeBans("banned_ip.cfg", "addip", s.bans.ips) }

func (s *server) cmdAddip(c command) {
	a, err := netip.ParseAddr(c.arg(1))
	if err != nil {
		s.print("Usage:  addip <minutes> <ipaddress>\n")
		return
	}
	s.bans.ips = add(s.bans.ips, a.String(), leadingNumber(c.arg(0)))
}

func (s *server) cmdRemoveip(c command) {
	before := len(s.bans.ips)
	who := cvarValue(c.rest)
	s.bans.ips = remove(s.bans.ips, who)
	if len(s.bans.ips) == before {
		s.printf("removeip:  couldn't find %s.\n", who)
		return
	}
	s.print("Filter removed.\n")
}

func (s *server) cmdListid(command) {
	s.bans.ids = remove(s.bans.ids, "")
	s.printf("ID filter list: %s\n", entries(len(s.bans.ids)))
	for i, b := range s.bans.ids {
		s.printf("%d %s : %s\n", i+1, b.who, b.left(time.Now()))
	}
}

func (s *server) cmdListip(command) {
	s.bans.ips = remove(s.bans.ips, "")
	s.printf("IP filter list: %s\n", entries(len(s.bans.ips)))
	for i, b := range s.bans.ips {
		a, err := netip.ParseAddr(b.who)
		if err != nil {
			continue // cannot happen: only addresses are added
		}
		o := a.As4()
		s.printf("%d %3d.%3d.%3d.%3d : %s\n", i+1, o[0], o[1], o[2], o[3], b.left(time.Now()))
	}
}

func entries(n int) string {
	switch n {
	case 0:
		return "empty"
	case 1:
		return "1 entry"
	}
	return fmt.Sprintf("%d entries", n)
}
