package steamsim

import (
	"fmt"
	"time"
)

// cmdStatus prints the server as L4D2 2.2.4.3 does: rows of people have a slot
// number between user id and name, rows of bots do not.
func (s *server) cmdStatus(command) {
	secure := "secure"
	if !s.secure {
		secure = "insecure"
	}
	public := fmt.Sprintf("%s:%d", publicIP, s.address.port)
	if !s.online || s.number("sv_lan") != 0 {
		public = "n/a"
	}
	sleep := "not hibernating"
	if s.world.asleep {
		sleep = "hibernating"
	}
	humans, bots := s.world.count()
	s.printf("hostname: %s\n", s.get("hostname"))
	s.printf("version : %s 10097 %s  (unknown)\n", gameVersion, secure)
	s.printf("udp/ip  : %s:%d [ public %s ]\n", s.address.shown, s.address.port, public)
	s.print("os      : Linux Dedicated\n")
	s.printf("map     : %s\n", s.mapName)
	s.printf("players : %d humans, %d bots (%d max) (%s) (unreserved)\n\n", humans, bots, s.maxPlayers(), sleep)
	s.print("# userid name uniqueid connected ping loss state rate adr\n")
	for _, p := range s.world.players {
		if p.bot {
			s.printf("#%2d \"%s\" BOT active\n", p.userid, p.name)
			continue
		}
		state := "active"
		if !p.entered {
			state = "spawning"
		}
		s.printf("#%3d %d \"%s\" %s %s %d 0 %s 100000 %s\n",
			p.userid, p.slot, p.name, p.steamID, connected(time.Since(p.joined)), p.ping, state, p.address)
	}
	s.print("#end\n")
}

// connected is mm:ss, or h:mm:ss from an hour on.
func connected(d time.Duration) string {
	n := int(d.Seconds())
	if n >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", n/3600, n/60%60, n%60)
	}
	return fmt.Sprintf("%02d:%02d", n/60, n%60)
}

// maxPlayers is what the server offers: the L4DToolZ value if that plug-in is
// there, else the command line's, else what the game mode seats.
func (s *server) maxPlayers() int {
	if s.maxAsked > 0 {
		return s.maxAsked
	}
	if n := int(s.number("sv_visiblemaxplayers")); n > 0 {
		return n
	}
	for _, name := range []string{"+maxplayers", "-maxplayers"} {
		if n := int(leadingNumber(s.opts.value(name))); n > 0 {
			return min(n, 18)
		}
	}
	switch s.get("mp_gamemode") {
	case "versus", "scavenge":
		return 2 * teamSize
	}
	return teamSize
}

func (s *server) cmdUsers(command) {
	s.print("<slot:userid:\"name\">\n")
	n := 0
	for _, p := range s.world.players {
		if !p.bot {
			s.printf("%d:%d:\"%s\"\n", p.slot, p.userid, p.name)
			n++
		}
	}
	s.printf("%d users\n", n)
}

func (s *server) cmdStats(command) {
	humans, _ := s.world.count()
	s.printf("CPU   In_(KB/s)  Out_(KB/s)  Uptime  Map_changes  FPS      Players  Connects\n"+
		"%-5.2f %-10.2f %-11.2f %-7d %-12d %-8.2f %-8d %d\n", 1.25, 0.0, 0.0, s.world.tick/60, 0, 30.0, humans, s.world.userids)
}
