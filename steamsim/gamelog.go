package steamsim

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// gameLog is the engine's event log: a file per map below logs/, the console,
// and datagrams to whoever was added.
type gameLog struct {
	on      bool
	file    *os.File
	name    string
	targets []netip.AddrPort
}

// logEvent is for what stands on the console in any case: as a log line where
// the log goes there, as it is otherwise.
func (s *server) logEvent(text string) {
	if s.log.on && s.number("sv_logecho") != 0 {
		s.logLine(text)
		return
	}
	s.print(text + "\n")
	s.logLine(text)
}

// logLine writes one event, if the log is on. The caller holds s.mu.
func (s *server) logLine(text string) {
	if !s.log.on {
		return
	}
	line := "L " + time.Now().Format("01/02/2006 - 15:04:05") + ": " + text + "\n"
	if s.number("sv_logecho") != 0 {
		s.print(line)
	}
	if s.number("sv_logfile") != 0 {
		if s.log.file == nil {
			s.openLog()
		}
		if s.log.file != nil {
			_, _ = s.log.file.WriteString(line) // a full disk stops no game
		}
	}
	for _, to := range s.log.targets {
		s.sendLog(to, line)
	}
}

// sendLog sends one line. Source accepts a target in 127.0.0.0/8, lists it, and
// never sends anything there.
func (s *server) sendLog(to netip.AddrPort, line string) {
	if to.Addr().IsLoopback() || s.udp == nil {
		return
	}
	head := "\xff\xff\xff\xffR"
	if secret := s.get("sv_logsecret"); leadingNumber(secret) != 0 {
		head = "\xff\xff\xff\xffS" + secret
	}
	_, _ = s.udp.WriteToUDPAddrPort([]byte(head+line+"\x00"), to) // datagrams may be lost
}

// openLog starts the next L*.log: month, day and a number that is not taken.
func (s *server) openLog() {
	dir := s.get("sv_logsdir")
	if filepath.IsAbs(dir) || strings.Contains(dir, "..") {
		dir = "logs"
	}
	if err := os.MkdirAll(filepath.Join(s.game, dir), 0o755); err != nil {
		return
	}
	for n := range 1000 {
		name := filepath.Join(dir, fmt.Sprintf("L%s%03d.log", time.Now().Format("0102"), n))
		f, err := os.OpenFile(filepath.Join(s.game, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if os.IsExist(err) {
			continue
		}
		if err != nil {
			s.printf("Unable to open logfile \"%s\"\n", name)
			return
		}
		s.log.file, s.log.name = f, name
		s.printf("Server logging data to file %s\n", name)
		s.logLine(fmt.Sprintf("Log file started (file \"%s\") (game \"%s\") (version \"10097\")", name, s.game))
		return
	}
}

func (s *server) closeLog() {
	if s.log.file == nil {
		return
	}
	s.logLine("Log file closed")
	_ = s.log.file.Close() // a full disk stops no game
	s.log.file = nil
}

// logNewMap begins a new file at each map, unless one file was asked for.
func (s *server) logNewMap() {
	if s.number("sv_log_onefile") == 0 {
		s.closeLog()
	}
	s.logLine(fmt.Sprintf("Loading map \"%s\"", s.mapName))
}

func (s *server) cmdLog(c command) {
	switch strings.ToLower(c.arg(0)) {
	case "on", "1":
		if !s.log.on {
			s.log.on = true
			s.print("Server logging enabled.\n")
			s.logLine("server cvars start")
		}
	case "off", "0":
		s.closeLog()
		s.log.on = false
		s.print("Server logging disabled.\n")
	default:
		state := "not currently logging"
		if s.log.on {
			state = "currently logging to: file, console"
		}
		s.printf("Usage:  log < on | off >\n%s\n", state)
	}
}

func (s *server) logTarget(c command) (netip.AddrPort, bool) {
	a, err := net.ResolveUDPAddr("udp4", cvarValue(c.rest))
	if err != nil || a.Port == 0 {
		s.printf("Unable to resolve: %s\n", cvarValue(c.rest))
		return netip.AddrPort{}, false
	}
	p := a.AddrPort()
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port()), true
}

func (s *server) cmdLogaddressAdd(c command) {
	to, ok := s.logTarget(c)
	if !ok || slices.Contains(s.log.targets, to) {
		return
	}
	s.log.targets = append(s.log.targets, to)
	s.printf("logaddress_add:  %s\n", to)
}

func (s *server) cmdLogaddressDel(c command) {
	if to, ok := s.logTarget(c); ok {
		s.log.targets = slices.DeleteFunc(s.log.targets, func(t netip.AddrPort) bool { return t == to })
		s.printf("logaddress_del:  %s\n", to)
	}
}

func (s *server) cmdLogaddressList(command) {
	if len(s.log.targets) == 0 {
		s.print("logaddress_list:  no addresses in the list\n")
		return
	}
	s.printf("logaddress_list: %s\n", entries(len(s.log.targets)))
	for _, t := range s.log.targets {
		s.printf("%s\n", t)
	}
}
