package steam

import (
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"

	"left4me/hostops/ctl"
)

// What steamcmd prints, as far as it is understood here:
//
//	[  5%] Downloading update (6958 of 57477 KB)...
//	Connecting anonymously to Steam Public...OK
//	"@sSteamCmdForcePlatformType" = "windows"
//	 Update state (0x61) downloading, progress: 12.49 (1213434880 / 9710287462)
//	Success! App '222860' fully installed.
//
// Lines may be glued to each other, end in \r\n, carry ANSI sequences, and have
// a decimal comma or a tail such as ", 1.21 MB/s, ETA 00:00:06".

// Parser turns steamcmd's output into events and remembers how it ended. It is
// an io.Writer; feed it and call Close for the last line.
type Parser struct {
	// Emit receives log, phase and progress events.
	Emit func(ctl.Event)
	// Now is the clock that rates are measured by.
	Now func() time.Time
	// Platforms are the passes asked for, in order, such as windows and linux.
	// They name the pass where the output does not.
	Platforms []string
	// Try and Tries mark phases of a repeated attempt; Why says why.
	Try, Tries int
	Why        string
	// Mask takes secrets out of a line before anything else sees it; nil is none.
	Mask func(string) string
	// Waits is told of a question that steamcmd waits for an answer to; may be nil.
	Waits func(sentence string)
	// Total is told how many bytes the phase under way has, as often as steamcmd
	// says it while it makes room or downloads; may be nil.
	Total func(phase string, bytes int64)

	buf      []byte
	pass     int    // index into Platforms of the pass under way
	platform string // as steamcmd echoed it last, or ""
	settled  bool   // the current pass has its final line
	phase    ctl.Phase
	meter    Meter
	shown    time.Time // of the last progress event

	successes int   // passes that ended well
	failed    *rule // the last app_update, or the session, failed so
	needed    int64 // bytes still to come by the last progress line
}

const (
	maxPending   = 64 << 10 // an endless line is cut here
	showInterval = 200 * time.Millisecond
)

var (
	ansi = regexp.MustCompile(`\x1b(\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?|[()][0-9A-B]|[=>78cDEHMNOZ])`)
	// glue finds where another line begins inside a line.
	glue = regexp.MustCompile(`Steam Console Client \(c\)|Connecting anonymously to |Logging in user |Waiting for (client config|user info)| ?Update state \(0x|Success! App '|ERROR! |Error! App '|\[(----|[ \d]{2}\d%)\] |Redirecting stderr to '|Logging directory: '|(Unl|L)oading Steam API|"@sSteamCmdForcePlatformType" = `)

	progressLine = regexp.MustCompile(`^\s*Update state \(0x([0-9a-fA-F]+)\) ([a-z ]+), progress: ([0-9]+)[.,]([0-9]+) \(([0-9]+) / ([0-9]+)\)`)
	selfUpdate   = regexp.MustCompile(`^\[ *([0-9]+)%\] Downloading update \(([0-9,.]+) of ([0-9,.]+) KB\)`)
	bootstrap    = regexp.MustCompile(`^\[(----|[ 0-9]+%)\] `)
	platformLine = regexp.MustCompile(`"@sSteamCmdForcePlatformType" = "([a-z0-9]+)"`)
	updateEcho   = regexp.MustCompile(`^(Steam>)?\s*app_update 222860\b`)
	successLine  = regexp.MustCompile(`Success! App '222860' (fully installed|already up to date)`)
	question     = regexp.MustCompile(`(?i)^\s*(Steam Guard code|Two-factor code|password): *$`)
	onPhone      = regexp.MustCompile(`(?i)confirm the login in the Steam Mobile app`)
	loginLine    = regexp.MustCompile(`^(Connecting anonymously to |Logging in user )`)
)

var _ io.WriteCloser = (*Parser)(nil)

// Write takes the next bytes of output. It never fails.
func (p *Parser) Write(data []byte) (int, error) {
	for _, b := range data {
		if b == '\n' || b == '\r' || len(p.buf) >= maxPending {
			p.flush()
		}
		if b != '\n' && b != '\r' {
			p.buf = append(p.buf, b)
		}
	}
	if len(p.buf) > 0 && question.Match(p.buf) { // it has no line end, ever
		p.flush()
	}
	return len(data), nil
}

// Close takes what came without a line end as a line. It never fails.
func (p *Parser) Close() error {
	p.flush()
	return nil
}

func (p *Parser) flush() {
	if len(p.buf) == 0 {
		return
	}
	text := ansi.ReplaceAllString(strings.ToValidUTF8(string(p.buf), "\uFFFD"), "")
	p.buf = p.buf[:0]
	if p.Mask != nil {
		text = p.Mask(text)
	}
	for _, part := range unglue(text) {
		if strings.TrimSpace(part) != "" {
			p.take(part)
		}
	}
}

// unglue cuts a line where another one visibly begins.
func unglue(text string) []string {
	var parts []string
	start := 0
	for _, at := range glue.FindAllStringIndex(text, -1) {
		if at[0] > start {
			parts = append(parts, text[start:at[0]])
			start = at[0]
		}
	}
	return append(parts, text[start:])
}

func (p *Parser) take(text string) {
	if m := progressLine.FindStringSubmatch(text); m != nil {
		p.progress(m)
		return
	}
	if m := selfUpdate.FindStringSubmatch(text); m != nil {
		p.bootstrapProgress(m)
		return
	}
	switch { // a phase begins before its first line
	case bootstrap.MatchString(text):
		p.enter("selfupdate", "steamcmd looks for updates of itself")
	case loginLine.MatchString(text):
		p.enter("login", "Signing in to Steam")
	case onPhone.MatchString(text):
		p.enter("confirm", "Waiting for the sign-in to be confirmed in the Steam app on the account's phone")
	case updateEcho.MatchString(text):
		p.nextPass()
	case successLine.MatchString(text):
		p.success()
	}
	p.Emit(ctl.Event{Type: ctl.EventLog, At: p.Now(), Stream: ctl.StreamOut, Text: strings.TrimRight(text, " ")})
	if m := platformLine.FindStringSubmatch(text); m != nil {
		p.platform = m[1]
		p.nextPass()
	}
	if r, bad := match(text); bad {
		p.failed, p.settled = &r, true
		if r.waits && p.Waits != nil {
			p.Waits(r.sentence)
		}
	}
}

// nextPass moves on once the current pass has had its final line.
func (p *Parser) nextPass() {
	if p.settled {
		p.settled = false
		p.pass++
		p.failed = nil // only the last app_update counts
	}
}

func (p *Parser) success() {
	p.successes++
	p.failed, p.settled, p.needed = nil, true, 0
	if p.phase.Key != "" && p.phase.Total > 0 {
		p.show(true)
	}
}

// steps translates the codes of progress lines. 0x0 is the last line before
// success and stands for nothing.
var steps = map[string]struct{ key, title string }{
	"reconfiguring":     {"configure", "preparing"},
	"verifying install": {"verify", "checking what is there"},
	"validating":        {"verify", "checking what is there"},
	"preallocating":     {"allocate", "making room"},
	"downloading":       {"download", "downloading"},
	"verifying update":  {"check", "checking the download"},
	"staging":           {"commit", "putting in place"},
	"committing":        {"commit", "putting in place"},
}

func (p *Parser) progress(m []string) {
	p.nextPass()
	step, known := steps[m[2]]
	if !known {
		return
	}
	name := p.passName()
	title := map[string]string{"windows": "Windows files: ", "linux": "Linux files: "}[name]
	if title == "" {
		title = "Game files: "
	}
	p.enter(name+"."+step.key, title+step.title)
	percent, _ := strconv.ParseFloat(m[3]+"."+m[4], 64) // digits by the pattern
	done, _ := strconv.ParseInt(m[5], 10, 64)
	total, _ := strconv.ParseInt(m[6], 10, 64)
	p.phase.Percent, p.phase.Done, p.phase.Total = min(percent, 100), done, total
	if step.key == "download" || step.key == "allocate" {
		p.needed = max(total-done, 0)
		if p.Total != nil && total > 0 {
			p.Total(p.phase.Key, total)
		}
	}
	p.phase.Rate, p.phase.Left = p.meter.Measure(p.Now(), done, total)
	p.show(false)
}

func (p *Parser) bootstrapProgress(m []string) {
	p.enter("selfupdate", "steamcmd looks for updates of itself")
	digits := func(s string) int64 {
		n, _ := strconv.ParseInt(strings.NewReplacer(",", "", ".", "").Replace(s), 10, 64) // digits by the pattern
		return n
	}
	p.phase.Percent = float64(min(digits(m[1]), 100))
	p.phase.Done, p.phase.Total = digits(m[2])*1024, digits(m[3])*1024
	p.phase.Rate, p.phase.Left = p.meter.Measure(p.Now(), p.phase.Done, p.phase.Total)
	p.show(false)
}

func (p *Parser) passName() string {
	if p.platform != "" {
		return p.platform
	}
	if p.pass < len(p.Platforms) {
		return p.Platforms[p.pass]
	}
	return "game"
}

// enter begins a phase unless it is the one under way.
func (p *Parser) enter(key, title string) {
	if p.phase.Key == key {
		return
	}
	p.phase = ctl.Phase{Key: key, Title: title, Try: p.Try, Tries: p.Tries, Why: p.Why}
	p.meter = Meter{}
	p.shown = time.Time{}
	begun := p.phase
	p.Emit(ctl.Event{Type: ctl.EventPhase, At: p.Now(), Phase: &begun})
}

// show emits the current progress, not oftener than a reader can see, unless it
// is the last of its phase.
func (p *Parser) show(last bool) {
	t := p.Now()
	if !last && p.phase.Percent < 100 && t.Sub(p.shown) < showInterval {
		return
	}
	p.shown = t
	now := p.phase
	p.Emit(ctl.Event{Type: ctl.EventProgress, At: t, Phase: &now})
}

// Meter smooths a rate over about five seconds. The first figure only begins it.
type Meter struct {
	at    time.Time
	moved time.Time // when done grew last
	done  int64
	rate  float64 // bytes per second
}

const meterWindow = 5 * time.Second

// Measure takes how much is done by now and returns bytes per second and the
// seconds left, 0 while they are unknown: also while nothing comes, since a rate
// that only fades would promise days. Less than before begins anew.
func (m *Meter) Measure(at time.Time, done, total int64) (rate, left int64) {
	if m.at.IsZero() || done < m.done {
		*m = Meter{at: at, moved: at, done: done}
		return 0, 0
	}
	if passed := at.Sub(m.at); passed >= 100*time.Millisecond {
		current := float64(done-m.done) / passed.Seconds()
		weight := min(passed.Seconds()/meterWindow.Seconds(), 1)
		if m.rate == 0 {
			weight = 1
		}
		m.rate += weight * (current - m.rate)
		if done > m.done {
			m.moved = at
		}
		m.at, m.done = at, done
	}
	if m.rate >= 1 && total > done && at.Sub(m.moved) <= meterWindow {
		left = int64(float64(total-done)/m.rate) + 1
	}
	return int64(m.rate), left
}

// Succeeded reports whether the last app_update ended with its success line.
func (p *Parser) Succeeded() bool {
	return p.failed == nil && p.settled && (p.pass >= len(p.Platforms)-1 || p.successes >= len(p.Platforms))
}

// lastIsMissing reports whether the output ends where the Linux files should
// follow: for whoever does not know what was asked for.
func (p *Parser) lastIsMissing() bool { return p.settled && p.platform == "windows" }

// Needed is how many bytes were still to be written by the last progress line
// that told, or the size of a whole first install when none did.
func (p *Parser) Needed() int64 {
	if p.needed > 0 {
		return p.needed
	}
	return windowsPassBytes + linuxPassBytes
}
