package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// The demo replaces Steam, and nothing else, by another program: steamsim lies
// where steamcmd is expected, and serves a Web API, a file host and a mirror on
// loopback. Everything of left4me works as it always does, with other addresses.

// demoSteam is the simulated Steam that runs beside `left4me up --demo`.
type demoSteam struct {
	url      *url.URL
	cmd      *exec.Cmd
	lifeline io.Closer // steamsim ends when this does, even if we are killed
	output   *demoOutput
	ended    chan struct{} // closed when the process has gone; err says how
	err      error
}

// demoPatience is how long steamsim may take to say where it listens.
const demoPatience = 20 * time.Second

// startDemo prepares the simulated Steam in the data folder and starts its web
// side.
func startDemo(ctx context.Context, data string) (*demoSteam, error) {
	path, err := beside("steamsim", "")
	if err != nil {
		return nil, err
	}
	steam := filepath.Join(data, "steam")
	if out, err := exec.CommandContext(ctx, path, "link", steam, "--speed", "demo").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("prepare the simulated Steam: %w: %s", err, strings.TrimSpace(string(out)))
	}
	d := &demoSteam{output: &demoOutput{line: make(chan string, 1)}, ended: make(chan struct{})}
	d.cmd = exec.Command(path, "serve", "--listen", "127.0.0.1:0", "--lifeline", "--control", filepath.Join(steam, "steamsim.json"))
	d.cmd.Stdout, d.cmd.Stderr = d.output, d.output
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl+C is for us; it lives as long as jobs do
	if d.lifeline, err = d.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("start the simulated Steam: %w", err)
	}
	if err := d.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the simulated Steam: %w", err)
	}
	go func() {
		defer close(d.ended)
		d.err = d.cmd.Wait()
	}()
	select {
	case line := <-d.output.line:
		if d.url, err = url.Parse(line); err == nil && d.url.Host != "" {
			return d, nil
		}
		err = fmt.Errorf("the simulated Steam did not say where it listens but %q", line)
	case <-d.ended:
		err = d.failure()
	case <-time.After(demoPatience):
		err = fmt.Errorf("the simulated Steam did not say within %s where it listens", demoPatience)
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	d.end()
	return nil, err
}

// options are the host's with the simulated addresses in place of Steam's.
func (d *demoSteam) options(o hostOptions) hostOptions {
	o.SteamAPI, o.Mirror, o.WorkshopHosts = d.url.String(), d.url.String(), []string{d.url.Host}
	return o
}

// wait waits until ctx ends, which is no error, or the simulated Steam does.
func (d *demoSteam) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-d.ended:
		return d.failure()
	}
}

func (d *demoSteam) failure() error {
	return fmt.Errorf("the simulated Steam ended: %v %s", d.err, d.output)
}

// end ends the simulated Steam and waits for it.
func (d *demoSteam) end() {
	_ = d.lifeline.Close() // the process ends by this
	select {
	case <-d.ended:
	case <-time.After(5 * time.Second):
		_ = d.cmd.Process.Kill() // it did not
		<-d.ended
	}
}

// demoOutput takes what steamsim prints: its first line, and the last words in
// case it fails.
type demoOutput struct {
	mu   sync.Mutex
	line chan string // the first line; holds one
	text []byte
	told bool
}

// Write implements io.Writer.
func (o *demoOutput) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text = append(o.text, p...)
	if first, _, ok := bytes.Cut(o.text, []byte("\n")); ok && !o.told {
		o.told = true
		o.line <- string(first)
	}
	const enough = 4 << 10
	if len(o.text) > enough {
		o.text = append([]byte(nil), o.text[len(o.text)-enough:]...)
	}
	return len(p), nil
}

func (o *demoOutput) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.TrimSpace(string(o.text))
}

func greetDemo(c *console) {
	c.say("  This is the demo: Steam and the game are simulated. In a workshop overlay, try")
	c.say("    3100000001, 3100000005   campaigns of a few megabytes")
	c.say("    3200000001               a collection of five of them")
	c.say("    3200000100               120 items, 2 GB, nested; five of them cannot be used, each for another reason")
	c.say("  All there is: steamsim catalogue")
}
