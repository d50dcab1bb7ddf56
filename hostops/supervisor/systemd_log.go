package supervisor

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	"left4me/hostops/ctl"
)

// systemd_log.go reads consoles from the journal, by journalctl: its files have
// no other reader that is not C. A cursor is the journal's own.

// cursorForm is what a cursor of the journal looks like (sd_journal_get_cursor).
var cursorForm = regexp.MustCompile(`^[a-z]=[0-9a-f]+(;[a-z]=[0-9a-f]+)+$`)

// Messages of PID 1 about units, by the ids of systemd's catalog.
const (
	messageRestart = "5eb03494b6584870a536b337290809b3" // a restart was scheduled
	messageSuccess = "7ad2d189f7e94e70a38c781354912448" // deactivated successfully
)

// Logs implements Supervisor. It gives only what the unit's own processes wrote.
func (s *Systemd) Logs(ctx context.Context, name string, o LogOptions, each func(LogLine) error) error {
	if err := ctl.CheckName(name); err != nil {
		return err
	}
	if o.After != "" && !cursorForm.MatchString(o.After) {
		return fail(ctl.ErrUsage, "%q is not the cursor of a log line", o.After)
	}
	since := time.Now()
	r, err := s.dir(name).read()
	switch {
	case err == nil:
		since = r.LogSince
	case !o.Follow: // never started, or purged: what the journal has is another server's
		return nil
	}
	args := []string{"--lines=" + strconv.Itoa(max(o.Lines, 0))}
	switch {
	case o.After != "":
		args = []string{"--lines=all", "--after-cursor=" + o.After}
	case o.Lines <= 0 && !o.Follow:
		return nil
	case o.Lines <= 0:
		// From this moment on, however long journalctl takes to begin.
		args = []string{"--lines=all", sinceArg(time.Now())}
	default:
		args = append(args, sinceArg(since))
	}
	if o.Follow {
		args = append(args, "--follow")
	}
	args = append(args, "_SYSTEMD_UNIT="+serverUnit(name))
	return s.journal(ctx, args, func(e journalEntry) error {
		if e.at.Before(since) {
			return nil
		}
		text := ctl.CleanLine([]byte(e.text), false)
		if text == " " { // the journal has no empty lines; see printer
			text = ""
		}
		return each(LogLine{Cursor: e.cursor, At: e.at, Text: text})
	})
}

func sinceArg(t time.Time) string {
	return fmt.Sprintf("--since=@%d.%06d", t.Unix(), t.Nanosecond()/1000)
}

// journalEntry is one line of journalctl -o json.
type journalEntry struct {
	cursor, text, message string
	at                    time.Time
	restarts              int
}

func (e *journalEntry) UnmarshalJSON(b []byte) error {
	var raw struct {
		Cursor   string          `json:"__CURSOR"`
		At       string          `json:"__REALTIME_TIMESTAMP"` // microseconds
		Text     json.RawMessage `json:"MESSAGE"`              // a string, or numbers where it is not UTF-8
		Message  string          `json:"MESSAGE_ID"`
		Restarts string          `json:"N_RESTARTS"`
	}
	if err := json.Unmarshal(b, &raw); err != nil {
		return err
	}
	micro, err := strconv.ParseInt(raw.At, 10, 64)
	if err != nil {
		return fmt.Errorf("a time in the journal: %w", err)
	}
	*e = journalEntry{cursor: raw.Cursor, message: raw.Message, at: time.UnixMicro(micro).UTC()}
	e.restarts, _ = strconv.Atoi(raw.Restarts) // 0 where it is none
	var numbers []int
	if json.Unmarshal(raw.Text, &e.text) != nil && json.Unmarshal(raw.Text, &numbers) == nil {
		text := make([]byte, len(numbers))
		for i, n := range numbers {
			text[i] = byte(n)
		}
		e.text = string(text)
	}
	return nil
}

// journal runs journalctl and gives each entry. It returns each's error, or the
// context's as ctl.ErrCancelled.
func (s *Systemd) journal(ctx context.Context, args []string, each func(journalEntry) error) error {
	parent := ctx
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	program := s.Journalctl
	if program == "" {
		program = "journalctl"
	}
	fixed := []string{"--output=json", "--all", "--quiet", "--no-pager", "--output-fields=MESSAGE,MESSAGE_ID,N_RESTARTS"}
	cmd := exec.CommandContext(ctx, program, append(fixed, args...)...)
	var errout bytes.Buffer
	cmd.Stderr = &errout
	out, w := io.Pipe()
	cmd.Stdout = w
	cmd.WaitDelay = 2 * time.Second
	if err := cmd.Start(); err != nil {
		return fail(ctl.ErrNotInstalled, "the journal cannot be read: %w", err)
	}
	ended := make(chan error, 1)
	go func() { // ends with journalctl, which the context kills
		err := cmd.Wait()
		_ = w.Close() // a pipe of ours
		ended <- err
	}()
	err := readEntries(out, each)
	if err != nil {
		stop() // there is no reader any more
	}
	_ = out.Close() // see above
	werr := <-ended
	switch {
	case err != nil:
		return err
	case parent.Err() != nil:
		return cancelled(parent)
	case werr != nil && strings.Contains(errout.String(), "permission"):
		return fail(ctl.ErrNotPermitted, "the console is in the journal, which this user may not read: as root run: usermod -aG systemd-journal left4me, then sign in again or restart left4me-worker")
	case werr != nil:
		return fmt.Errorf("journalctl: %w: %s", werr, strings.TrimSpace(errout.String()))
	}
	return nil
}

func readEntries(r io.Reader, each func(journalEntry) error) error {
	br := bufio.NewReaderSize(r, 64<<10)
	for {
		line, err := br.ReadBytes('\n')
		if err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		var e journalEntry
		if err := json.Unmarshal(line, &e); err != nil {
			return fmt.Errorf("understand the journal: %w", err)
		}
		if err := each(e); err != nil {
			return err
		}
	}
}

// wordsArrive is how long a line may take from a process to the journal's file.
const wordsArrive = time.Second

// lastWords is the last line that a unit's processes wrote since a time: what a
// helper said before it failed. "" when it said nothing.
func (s *Systemd) lastWords(ctx context.Context, unit string, since time.Time) string {
	for begin := time.Now(); ; {
		said := ""
		err := s.journal(ctx, []string{"--lines=1", sinceArg(since), "_SYSTEMD_UNIT=" + unit}, func(e journalEntry) error {
			said = ctl.CleanLine([]byte(e.text), false)
			return nil
		})
		if err != nil || said != "" || time.Since(begin) > wordsArrive || wait(ctx, 50*time.Millisecond) != nil {
			return strings.TrimPrefix(said, "left4me-overlay: ")
		}
	}
}

// ending is when a unit that systemd has forgotten ended, and how often the game
// was restarted since it was started.
func (s *Systemd) ending(ctx context.Context, name string, since time.Time) (end time.Time, restarts int, err error) {
	unit := serverUnit(name)
	args := []string{
		sinceArg(since), "--lines=1000",
		"_PID=1", "UNIT=" + unit, "MESSAGE_ID=" + messageRestart, "MESSAGE_ID=" + messageSuccess,
	}
	err = s.journal(ctx, args, func(e journalEntry) error {
		switch e.message {
		case messageRestart:
			restarts = e.restarts
		case messageSuccess:
			end = e.at
		}
		return nil
	})
	if err == nil && end.IsZero() {
		err = errors.New("the journal does not say when the unit ended")
	}
	return end, restarts, err
}
