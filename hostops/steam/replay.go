package steam

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"time"

	"left4me/hostops/ctl"
)

// How script(1), and our own recording, begin and end. The exit code is missing
// where whoever recorded did not know it.
var (
	scriptLine = regexp.MustCompile(`^Script (started|done) on `)
	scriptCode = regexp.MustCompile(`\[COMMAND_EXIT_CODE="([0-9]{1,3})"\]`)
)

// Replay feeds a recorded output of steamcmd through the same parser and table as
// a real run, with the same events and the same verdict, but for what only the
// disk could tell: files, manifest and free space. Errors are *Failure, or of
// reading.
func Replay(recorded io.Reader, emit func(ctl.Event)) error {
	p := &Parser{Emit: emit, Now: func() time.Time { return time.Now().UTC() }}
	end := ending{}
	in := bufio.NewReader(recorded)
	for {
		line, err := in.ReadBytes('\n')
		if scriptLine.Match(line) {
			if m := scriptCode.FindSubmatch(line); m != nil {
				end.code, _ = strconv.Atoi(string(m[1])) // digits by the pattern
			}
		} else {
			_, _ = p.Write(line) // never fails
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read the recording: %w", err)
		}
	}
	_ = p.Close() // never fails
	if p.Succeeded() && !p.lastIsMissing() {
		return nil
	}
	if p.failed != nil && p.failed.waits {
		end = ending{} // whoever recorded it ended it
	}
	f := failureOf(p.failed, end, "steamcmd.sh")
	switch {
	case f.Kind == ClassDiskFull:
		f.say(fmt.Sprintf("Steam says that the disk is too small for the game: about %s more are needed.", Bytes(p.Needed())))
	case p.failed == nil && end.code != 0:
		f.say(fmt.Sprintf("steamcmd ended with exit code %d and did not say why; its logs may.", end.code))
	}
	return f
}
