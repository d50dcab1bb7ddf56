package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/creack/pty"

	"left4me/hostops/ctl"
)

func TestPrinterWritesProgressOverOnATerminal(t *testing.T) {
	var out, errs bytes.Buffer
	p := newPrinter(&out, &errs, false)
	download := &ctl.Phase{Key: "linux.download", Title: "Linux files: downloading", Percent: 12.5, Done: 25_345_357, Total: 202_762_857, Rate: 1_200_000, Left: 148}
	p.emit(ctl.Event{Type: ctl.EventProgress, Phase: download})
	if out.Len() != 0 {
		t.Errorf("progress on a pipe: %q", out.String())
	}
	p.terminal = true
	p.emit(ctl.Event{Type: ctl.EventProgress, Phase: download})
	p.emit(ctl.Event{Type: ctl.EventLog, Stream: ctl.StreamOut, Text: "a line"})
	want := "\r\x1b[KLinux files: downloading  12.5 %  25.3 MB of 202.8 MB  1.2 MB/s  2m28s left\r\x1b[Ka line\n"
	if out.String() != want {
		t.Errorf("got %q\nwant %q", out.String(), want)
	}
}

func TestPrinterDefusesStrangersText(t *testing.T) {
	var out, errs bytes.Buffer
	p := newPrinter(&out, &errs, false)
	p.emit(ctl.Event{Type: ctl.EventLog, Stream: ctl.StreamGame, Text: "a\x1b]0;title\x07\rb\tc\u0085\u009b31m"})
	code := p.finish(fmt.Errorf("bad \x1b[31m name: %w", ctl.ErrBadName), nil)
	if got, want := out.String(), "a\uFFFD]0;title\uFFFD\uFFFDb\tc\uFFFD\uFFFD31m\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if strings.ContainsRune(errs.String(), '\x1b') || code != 67 {
		t.Errorf("code %d, %q", code, errs.String())
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestPrinterGoesOnWithoutAReader(t *testing.T) {
	told := 0
	p := newPrinter(brokenPipe{}, &bytes.Buffer{}, true)
	p.onBroken = func() { told++ }
	p.emit(ctl.Event{Type: ctl.EventLog, Text: "a"})
	p.emit(ctl.Event{Type: ctl.EventLog, Text: "b"})
	if code := p.finish(nil, nil); code != 0 || told != 1 {
		t.Errorf("code %d, told %d times", code, told)
	}
}

// A person at a terminal sees one line that is written over, and colours or
// wrapping of steamcmd's own terminal do not leak into it.
func TestInstallOnATerminal(t *testing.T) {
	bin := os.Getenv(binVariable)
	root := filepath.Join(t.TempDir(), "root")
	command := func(name string, args ...string) *exec.Cmd {
		cmd := exec.Command(filepath.Join(bin, name), args...)
		cmd.Env = append(os.Environ(), "LEFT4ME_ROOT="+root)
		return cmd
	}
	if out, err := command("steamsim", "link", filepath.Join(root, "steam"), "--speed", "instant").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	cmd := command("l4d2ctl", "install", "--method", "flip")
	cmd.Stdout, cmd.Stderr = slave, slave
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := slave.Close(); err != nil {
		t.Fatal(err)
	}
	var seen bytes.Buffer
	if _, err := seen.ReadFrom(master); err == nil {
		t.Error("a terminal without writers reads as an error, but there was none")
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, seen.String())
	}
	for _, want := range []string{"\r\x1b[KWindows files: downloading  ", "\r\x1b[KLinux files: downloading  ", " GB of 9.7 GB", "The game is installed and up to date.\r\n"} {
		if !strings.Contains(seen.String(), want) {
			t.Errorf("no %q in\n%q", want, seen.String())
		}
	}
}
