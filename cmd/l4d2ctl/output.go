package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/mattn/go-isatty"

	"left4me/hostops/ctl"
	"left4me/hostops/steam"
)

// printer writes events: one JSON object a line for programs, or text for people.
// People get progress as one line that is written over on a terminal, and as one
// line per phase elsewhere.
type printer struct {
	json   bool
	stdout io.Writer
	stderr io.Writer

	mu       sync.Mutex
	terminal bool
	bar      bool // a progress line stands on the terminal without its end
	broken   bool // stdout is gone; going on is better than stopping half way
	onBroken func()
}

func newPrinter(stdout, stderr io.Writer, json bool) *printer {
	f, isFile := stdout.(*os.File)
	return &printer{json: json, stdout: stdout, stderr: stderr, terminal: isFile && isatty.IsTerminal(f.Fd())}
}

func (p *printer) write(data []byte) {
	if p.broken {
		return
	}
	if _, err := p.stdout.Write(data); err != nil {
		p.broken = true
		if p.onBroken != nil {
			p.onBroken()
		}
	}
}

// emit prints one event.
func (p *printer) emit(e ctl.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.json {
		p.write(ctl.Encode(e))
		return
	}
	switch e.Type {
	case ctl.EventLog:
		if e.Stream != ctl.StreamErr { // that goes to our standard error as it is
			p.line(e.Text)
		}
	case ctl.EventPhase:
		p.line("== " + phaseText(e.Phase))
	case ctl.EventProgress:
		if p.terminal {
			p.bar = true
			p.write([]byte("\r\x1b[K" + printable(progressText(e.Phase))))
		}
	case ctl.EventState:
		p.line(stateText(e.Status))
	case ctl.EventFinding:
		p.line(findingText(e.Finding))
	case ctl.EventProfile:
		p.line(e.Profile.SteamID + "  " + e.Profile.Name)
	}
}

// say emits a line of our own.
func (p *printer) say(format string, args ...any) {
	p.emit(ctl.Event{Type: ctl.EventLog, At: time.Now().UTC(), Stream: ctl.StreamCtl, Text: fmt.Sprintf(format, args...)})
}

func (p *printer) line(text string) {
	if p.bar {
		p.bar = false
		p.write([]byte("\r\x1b[K"))
	}
	p.write([]byte(printable(text) + "\n"))
}

// printable keeps a stranger's text from steering the terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\t' {
			return '\uFFFD'
		}
		return r
	}, text)
}

func phaseText(p *ctl.Phase) string {
	text := p.Title
	if p.Steps > 0 {
		text = fmt.Sprintf("%s (%d of %d)", text, p.Step, p.Steps)
	}
	if p.Try > 1 {
		text = fmt.Sprintf("%s, try %d of %d", text, p.Try, p.Tries)
	}
	return text
}

func progressText(p *ctl.Phase) string {
	text := fmt.Sprintf("%s  %.1f %%", p.Title, p.Percent)
	if p.Total > 0 {
		text += fmt.Sprintf("  %s of %s", steam.Bytes(p.Done), steam.Bytes(p.Total))
	}
	if p.Rate > 0 {
		text += fmt.Sprintf("  %s/s", steam.Bytes(p.Rate))
	}
	if p.Left > 0 {
		text += fmt.Sprintf("  %s left", time.Duration(p.Left)*time.Second)
	}
	return text
}

// finish prints how it ended and returns the exit code.
func (p *printer) finish(err error, notices []string) int {
	code := ctl.ExitCode(err)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		fmt.Fprintf(p.stderr, "l4d2ctl: %s\n", printable(err.Error()))
	}
	if !p.json {
		if p.bar {
			p.write([]byte("\n"))
		}
		return code
	}
	result := ctl.Result{Code: code, Retry: retry(err), Notices: notices}
	if err != nil {
		result.Message = err.Error()
	}
	p.write(ctl.Encode(ctl.Event{Type: ctl.EventResult, At: time.Now().UTC(), Result: &result}))
	return code
}

// retry reports whether the same again, a little later, may well succeed.
func retry(err error) bool {
	var says interface{ Retry() bool }
	if errors.As(err, &says) {
		return says.Retry()
	}
	return errors.Is(err, ctl.ErrBusy) || errors.Is(err, ctl.ErrSteamRetry)
}
