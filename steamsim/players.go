package steamsim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
)

// player is a person, or a bot that fills the team.
type player struct {
	userid  int
	slot    int
	name    string
	steamID string // BOT for a bot
	address string
	bot     bool
	joined  time.Time
	entered bool
	ping    int
	score   int32
}

func (p *player) team() string {
	if p.bot || p.entered {
		return "Survivor"
	}
	return ""
}

// token is how the log names a player. Names are not escaped there: what a
// name pretends to be, the log repeats.
func (p *player) token() string {
	return fmt.Sprintf(`"%s<%d><%s><%s>"`, p.name, p.userid, p.steamID, p.team())
}

// world is who is on the server. What happens is decided by the seed alone.
type world struct {
	players []*player
	rng     *rand.Rand
	tick    int
	userids int
	asleep  bool
	mapTick int // tick at which the map began
}

// names of people who come. Several are made to break parsers and pages.
var names = []string{
	"Player", "zoeys_shotgun", `Coach<2><STEAM_1:0:1>`, "<script>alert(1)</script>",
	`the "real" Ellis`, "Нина", "岡崎", "50% off; quit", "a'b`c$(id)", "# 27 BOT active",
	"Jockey & Hyde", `" STEAM_1:0:99 00:10 5 0 active`, "nick", "   spaces   ",
}

var survivors = []string{"Coach", "Nick", "Rochelle", "Ellis"}

var chatter = []string{
	"gl hf", "anyone got a medkit?", "wait for me", "tank!", "nice one", "rush rush",
	"brb", `he said "run"`, "who has the pipe?", "gg", "<b>bold</b>", "L 01/01/2026 - 00:00:00: fake",
}

// Ticks are seconds at demo speed.
const (
	tickMin     = 100 * time.Millisecond
	firstPlayer = 3
	mapTicks    = 420
	teamSize    = 4
)

// runWorld moves the world once a tick. A server without players has nothing to
// move and does not tick at all.
func (s *server) runWorld() {
	if !s.control.Players {
		return
	}
	seed := s.control.Seed
	if seed == 0 {
		seed = uint64(s.address.port)
	}
	s.mu.Lock()
	s.world.rng = rand.New(rand.NewPCG(seed, seed))
	s.world.userids = 1
	s.mu.Unlock()
	tick := time.NewTicker(max(s.speed.scale(time.Second), tickMin))
	defer tick.Stop()
	for range tick.C {
		s.mu.Lock()
		s.step()
		s.mu.Unlock()
	}
}

// step is one tick. The caller holds s.mu.
func (s *server) step() {
	w := &s.world
	w.tick++
	humans, _ := w.count()
	for _, p := range w.players {
		if p.bot {
			continue
		}
		p.ping = max(5, p.ping+w.rng.IntN(7)-3)
		if !p.entered {
			s.enter(p)
		}
		if w.rng.IntN(15) == 0 {
			p.score++
		}
	}
	switch {
	case w.tick == firstPlayer, humans < teamSize && w.rng.IntN(12+10*humans) == 0:
		s.join()
	case humans > 0 && w.rng.IntN(10) == 0:
		s.chat()
	case humans > 0 && w.rng.IntN(90) == 0:
		s.drop(w.someone(), "Disconnect by user.")
	case humans > 0 && w.tick-w.mapTick > mapTicks:
		s.moveOn()
	}
}

// join lets one more person in. Names that are taken get a number, as the
// engine does it.
func (s *server) join() {
	w := &s.world
	if s.world.asleep {
		s.print("Server waking up from hibernation\n")
		w.asleep = false
	}
	p := &player{
		name: w.freeName(names[w.rng.IntN(len(names))]), slot: w.freeSlot(),
		steamID: fmt.Sprintf("STEAM_1:%d:%d", w.rng.IntN(2), 10_000_000+w.rng.IntN(500_000_000)),
		address: fmt.Sprintf("198.51.100.%d:27005", 1+w.rng.IntN(254)),
		joined:  time.Now(), ping: 20 + w.rng.IntN(90),
	}
	w.userids++
	p.userid = w.userids
	w.players = append(w.players, p)
	s.printf("Client \"%s\" connected (%s).\n", p.name, p.address)
	s.logLine(fmt.Sprintf(`%s connected, address "%s"`, p.token(), p.address))
	s.fillTeam()
}

func (s *server) enter(p *player) {
	s.logLine(p.token() + " STEAM USERID validated")
	s.logLine(p.token() + " entered the game")
	p.entered = true
}

func (s *server) chat() {
	p := s.world.someone()
	text := chatter[s.world.rng.IntN(len(chatter))]
	s.printf("%s: %s\n", p.name, text)
	s.logLine(fmt.Sprintf(`%s say "%s"`, p.token(), text))
}

// drop lets a player go; when the last person has gone, so do the bots.
func (s *server) drop(p *player, reason string) {
	w := &s.world
	w.players = slices.DeleteFunc(w.players, func(q *player) bool { return q == p })
	s.printf("Dropped %s from server (%s)\n", p.name, reason)
	s.logLine(fmt.Sprintf(`%s disconnected (reason "%s")`, p.token(), reason))
	if humans, _ := w.count(); humans == 0 {
		w.players = nil
		s.hibernate()
		return
	}
	s.fillTeam()
}

// hibernate is what an empty server does, unless told otherwise.
func (s *server) hibernate() {
	if s.number("sv_hibernate_when_empty") == 0 || s.world.asleep {
		return
	}
	s.world.asleep = true
	s.print("Server is hibernating\n")
}

// fillTeam keeps four survivors: bots take the places that people leave.
func (s *server) fillTeam() {
	w := &s.world
	humans, bots := w.count()
	for ; humans+bots > teamSize && bots > 0; bots-- {
		i := slices.IndexFunc(w.players, func(p *player) bool { return p.bot })
		w.players = slices.Delete(w.players, i, i+1)
	}
	for ; humans+bots < teamSize; bots++ {
		w.userids++
		w.players = append(w.players, &player{userid: w.userids, name: w.freeBot(), steamID: "BOT", bot: true, joined: time.Now()})
	}
}

// moveOn plays the end of a chapter.
func (s *server) moveOn() {
	s.world.mapTick = s.world.tick
	next := "c1m1_hotel"
	for i, c := range campaigns {
		if at := slices.Index(c.maps, s.mapName); at >= 0 {
			next = campaigns[(i+1)%len(campaigns)].maps[0]
			if at+1 < len(c.maps) {
				next = c.maps[at+1]
			}
		}
	}
	s.loadMap(next)
}

func (w *world) count() (humans, bots int) {
	for _, p := range w.players {
		if p.bot {
			bots++
		} else {
			humans++
		}
	}
	return humans, bots
}

// someone returns one of the people; there must be one.
func (w *world) someone() *player {
	people := slices.DeleteFunc(slices.Clone(w.players), func(p *player) bool { return p.bot })
	return people[w.rng.IntN(len(people))]
}

func (w *world) freeName(name string) string {
	taken := func(n string) bool {
		return slices.ContainsFunc(w.players, func(p *player) bool { return p.name == n })
	}
	for n, want := 1, name; taken(name); n++ {
		name = fmt.Sprintf("(%d)%s", n, want)
	}
	return name
}

func (w *world) freeBot() string {
	for _, name := range survivors {
		if !slices.ContainsFunc(w.players, func(p *player) bool { return p.bot && p.name == name }) {
			return name
		}
	}
	return "survivor_bot"
}

func (w *world) freeSlot() int {
	slot := 1
	for slices.ContainsFunc(w.players, func(p *player) bool { return !p.bot && p.slot == slot }) {
		slot++
	}
	return slot
}

// find returns the player with a user id or Steam id, nil if there is none.
func (w *world) find(who string) *player {
	for _, p := range w.players {
		if strconv.Itoa(p.userid) == who || (!p.bot && p.steamID == who) {
			return p
		}
	}
	return nil
}

func (s *server) cmdSay(c command) {
	text := cvarValue(c.rest)
	s.printf("Console: %s\n", text)
	s.logLine(fmt.Sprintf(`"Console<0><Console><Console>" say "%s"`, text))
}

func (s *server) cmdKickid(c command) {
	p := s.world.find(c.arg(0))
	if p == nil {
		s.printf("userid \"%s\" not found\n", c.arg(0))
		return
	}
	reason := strings.Join(c.args[1:], " ")
	if reason == "" {
		reason = "Kicked by Console"
	}
	s.drop(p, reason)
}

func (s *server) cmdKick(c command) {
	name := cvarValue(c.rest)
	for _, p := range s.world.players {
		if p.name == name {
			s.drop(p, "Kicked by Console")
			return
		}
	}
	s.printf("Can't kick \"%s\", name not found\n", name)
}
