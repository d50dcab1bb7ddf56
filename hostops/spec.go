package hostops

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"left4me/hostops/ctl"
	"left4me/hostops/servercfg"
)

// The bounds of a spec. They are far above what anybody needs and far below what
// would hurt the host or the engine.
const (
	maxSpec         = 1 << 20 // bytes of the file
	maxConfig       = 256 << 10
	maxOverlays     = 400
	maxArguments    = 128
	maxArgument     = 1024 // bytes of one argument
	maxHostname     = 128  // bytes
	minPort         = 1024
	maxPort         = 65535
	clientPort      = 27005 // the game's outgoing port by default
	sourceTVPort    = 27020
	minPasswordSize = 8
	maxPasswordSize = 64
)

var (
	overlayRef   = regexp.MustCompile(`\A[0-9]{1,9}/v[0-9]{1,9}\z`)
	rconPassword = regexp.MustCompile(`\A[A-Za-z0-9]+\z`)
)

// ParseSpec reads and checks a spec in YAML or JSON. name is what the file is
// called in messages. Everything that can be judged without the host's files is
// judged here; whether the overlays exist is not. Every error is ctl.ErrBadSpec
// and begins with name and line, such as
//
//	spec.yaml:3: unknown field "overlay" (did you mean "overlays"?)
func ParseSpec(name string, r io.Reader) (ctl.Spec, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxSpec+1))
	if err != nil {
		return ctl.Spec{}, fail(ctl.ErrBadSpec, "%s: cannot be read: %v", name, err)
	}
	if len(data) > maxSpec {
		return ctl.Spec{}, fail(ctl.ErrBadSpec, "%s: the spec is larger than 1 MiB", name)
	}
	spec, lines, err := decodeSpec(data)
	if err == nil {
		err = checkSpec(spec, lines)
	}
	var bad *badSpec
	if errors.As(err, &bad) {
		if bad.line > 0 {
			return ctl.Spec{}, fail(ctl.ErrBadSpec, "%s:%d: %s", name, bad.line, bad.text)
		}
		return ctl.Spec{}, fail(ctl.ErrBadSpec, "%s: %s", name, bad.text)
	}
	return spec, err
}

// badSpec is one objection to a spec; line is 0 when it belongs to no line.
type badSpec struct {
	line int
	text string
}

func (e *badSpec) Error() string { return e.text }

func objection(line int, format string, args ...any) error {
	return &badSpec{line: line, text: fmt.Sprintf(format, args...)}
}

// specLines says on which line each value began. Lists have a line per entry.
type specLines struct {
	field     map[string]int
	overlays  []int
	exec      []int
	arguments []int
}

func checkSpec(s ctl.Spec, at specLines) error {
	checks := []func(ctl.Spec, specLines) error{
		checkPort, checkOverlayRefs, checkExec, checkArguments, checkHostname, checkPassword, checkConfig,
	}
	for _, check := range checks {
		if err := check(s, at); err != nil {
			return err
		}
	}
	return nil
}

func checkPort(s ctl.Spec, at specLines) error {
	line, given := at.field["port"]
	switch {
	case !given:
		return objection(0, "port is missing: give a number from %d to %d, such as 27015", minPort, maxPort)
	case s.Port < minPort || s.Port > maxPort:
		return objection(line, "port %d is out of range: use %d to %d", s.Port, minPort, maxPort)
	case s.Port == clientPort:
		return objection(line, "port %d is the one every game server uses for outgoing traffic: choose another", s.Port)
	case s.Port == sourceTVPort:
		return objection(line, "port %d is SourceTV's: choose another", s.Port)
	}
	return nil
}

func checkOverlayRefs(s ctl.Spec, at specLines) error {
	if len(s.Overlays) > maxOverlays {
		return objection(at.field["overlays"], "%d overlays are too many: at most %d can be stacked", len(s.Overlays), maxOverlays)
	}
	seen := make(map[string]bool, len(s.Overlays))
	for i, ref := range s.Overlays {
		if !overlayRef.MatchString(ref) {
			if leavesFolder(ref) {
				return objection(at.overlays[i], "overlay %q leaves its folder: a ref is NUMBER/vNUMBER below overlays/, such as 12/v3", short(ref))
			}
			return objection(at.overlays[i], "%q is not an overlay ref: write NUMBER/vNUMBER, such as 12/v3", short(ref))
		}
		if seen[ref] {
			return objection(at.overlays[i], "overlay %s is listed twice", ref)
		}
		seen[ref] = true
	}
	return nil
}

// checkExec lets only overlays of the spec be executed, and of each overlay one
// version, because the generated file is named by the overlay.
func checkExec(s ctl.Spec, at specLines) error {
	seen := make(map[string]bool, len(s.Exec))
	for i, ref := range s.Exec {
		id, _, _ := strings.Cut(ref, "/")
		switch {
		case !slices.Contains(s.Overlays, ref):
			return objection(at.exec[i], "exec names %q, which is none of the overlays: list it there, or leave it out here", short(ref))
		case seen[id]:
			return objection(at.exec[i], "exec names overlay %s twice: its server.cfg can be executed once", id)
		}
		seen[id] = true
	}
	return nil
}

func leavesFolder(ref string) bool {
	if strings.HasPrefix(ref, "/") {
		return true
	}
	for part := range strings.SplitSeq(ref, "/") {
		if part == ".." {
			return true
		}
	}
	return false
}

func checkHostname(s ctl.Spec, at specLines) error {
	line := at.field["hostname"]
	switch {
	case s.Hostname == "":
		return nil
	case len(s.Hostname) > maxHostname:
		return objection(line, "hostname has %d bytes: at most %d are allowed", len(s.Hostname), maxHostname)
	case !utf8.ValidString(s.Hostname):
		return objection(line, "hostname is not valid UTF-8")
	case strings.ContainsFunc(s.Hostname, unicode.IsControl):
		return objection(line, "hostname contains a control character such as a line break or tab: leave it out")
	}
	if _, err := servercfg.Setting("hostname", s.Hostname); err != nil {
		return objection(line, "hostname %q cannot be written so that the game reads exactly that: %v", s.Hostname, err)
	}
	return nil
}

func checkPassword(s ctl.Spec, at specLines) error {
	line, given := at.field["rcon_password"]
	switch {
	case !given:
		return objection(0, "rcon_password is missing: give %d to %d letters and digits", minPasswordSize, maxPasswordSize)
	case len(s.RCONPassword) < minPasswordSize || len(s.RCONPassword) > maxPasswordSize:
		return objection(line, "rcon_password has %d characters: use %d to %d letters and digits", len(s.RCONPassword), minPasswordSize, maxPasswordSize)
	case !rconPassword.MatchString(s.RCONPassword):
		return objection(line, "rcon_password may hold only letters and digits: the game cuts it at others")
	}
	return nil
}

func checkConfig(s ctl.Spec, at specLines) error {
	line := at.field["config"]
	if len(s.Config) > maxConfig {
		return objection(line, "config has %d bytes: at most %d are allowed", len(s.Config), maxConfig)
	}
	if !utf8.ValidString(s.Config) {
		return objection(line, "config is not valid UTF-8")
	}
	if i := strings.IndexByte(s.Config, 0); i >= 0 {
		return objection(line, "line %d of config contains a NUL byte: the game would stop reading there", lineOf(s.Config, i))
	}
	for i := range len(s.Config) {
		if s.Config[i] == '\r' && (i+1 == len(s.Config) || s.Config[i+1] != '\n') {
			return objection(line, "line %d of config contains a lone carriage return: end lines with LF or CRLF", lineOf(s.Config, i))
		}
	}
	return nil
}

func lineOf(text string, offset int) int { return 1 + strings.Count(text[:offset], "\n") }

// short keeps a quoted value readable in a message.
func short(s string) string {
	if len(s) <= 80 {
		return s
	}
	return strings.ToValidUTF8(s[:80], "") + "…"
}
