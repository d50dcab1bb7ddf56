package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"left4me/hostops/ctl"
	"left4me/internal/testenv"
)

// workshop starts the web side of the simulated Steam and tells l4d2ctl of it.
func (s *site) workshop() (base string) {
	s.t.Helper()
	cmd := exec.Command(filepath.Join(bin, "steamsim"), "serve", "--listen", "127.0.0.1:0", "--lifeline")
	cmd.Env, cmd.Dir = s.env, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.cred}
	lifeline, err := cmd.StdinPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = lifeline.Close(); _ = cmd.Wait() }) // it ends by the first; how does not matter
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		s.t.Fatalf("steamsim serve: %v", err)
	}
	base = strings.TrimSpace(line)
	s.env = append(s.env, "LEFT4ME_STEAM_API="+base, "LEFT4ME_MIRROR="+base, "LEFT4ME_WORKSHOP_HOSTS="+strings.TrimPrefix(base, "http://"))
	return base
}

// file writes a file that our programs may read, and returns its path.
func (s *site) file(name, text string) string {
	s.t.Helper()
	path := filepath.Join(s.data, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// servedRanges is what the simulated file host counts.
type servedRanges struct {
	Items map[string]struct {
		Size, Bytes, Again int64
	} `json:"items"`
}

func ranges(t *testing.T, base string) (r servedRanges, bytes int64) {
	t.Helper()
	resp, err := http.Get(base + "/_sim/ranges")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }() // read only
	if err := json.NewDecoder(resp.Body).Decode(&r); err != nil {
		t.Fatal(err)
	}
	for _, i := range r.Items {
		bytes += i.Bytes
	}
	return r, bytes
}

// A collection of 120 items and 2 GB, nested, with one that contains itself and
// five faulty ones, becomes an overlay although the fetch is killed three times.
func TestCollectionOf120Items(t *testing.T) {
	const (
		collection = "3200000100"
		piece      = 8 << 20
		kills      = 3
	)
	s := newSite(t, true)
	base := s.workshop()
	for kill := range kills {
		cmd := exec.Command(filepath.Join(bin, "l4d2ctl"), "workshop", "fetch", collection)
		cmd.Env, cmd.Dir = append(append([]string{}, s.env...), "LEFT4ME_ROOT="+s.data), "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.cred}
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		enough := int64(kill+1) * 300 << 20
		testenv.Eventually(t, 2*time.Minute, fmt.Sprintf("%d bytes are fetched", enough), func() bool {
			_, n := ranges(t, base)
			return n > enough
		})
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err == nil {
			t.Fatalf("the fetch ended before it was killed:\n%s", out.String())
		}
	}
	log := s.patiently("l4d2ctl", "--wait", "30s", "workshop", "fetch", collection)
	for _, want := range []string{
		"3110000001: Steam has no such item: it was removed, or its author hides it.",
		"(3110000009): This item is for another game (number 440)",
		"(3110000032): It is kept aside: It is a ZIP archive and no VPK",
		"(3110000035): It is kept aside: Its directory breaks off",
		"(3110000020): The transfer broke off",
	} {
		if !strings.Contains(log, want) {
			t.Errorf("the fetch does not say %q:\n%s", want, log)
		}
	}
	served, _ := ranges(t, base)
	for id, i := range served.Items {
		// Each of an item's connections may lose the piece that it was fetching.
		if most := int64(kills * 4 * piece); i.Again > most {
			t.Errorf("item %s of %d bytes: %d bytes were fetched twice, more than a piece a connection and kill (%d)", id, i.Size, i.Again, most)
		}
	}
	built := s.patiently("l4d2ctl", "overlay", "build", "7", "-f", s.file("overlay.yaml", "kind: workshop\nwhy: all of it\nitems: ['"+collection+"']\n"))
	if !regexp.MustCompile(`Overlay 7 has its first version, v1 \(115 files, 2\.0 GB\)`).MatchString(built) {
		t.Errorf("the build said:\n%s", built)
	}
	var m ctl.Manifest
	if err := json.Unmarshal([]byte(s.run("l4d2ctl", "overlay", "show", "7", "--json")), &m); err != nil {
		t.Fatal(err)
	}
	refused := 0
	for _, f := range m.Findings {
		if f.Verdict == ctl.VerdictRefused {
			refused++
		}
	}
	if len(m.Items) != 115 || m.Size < 1_900_000_000 || refused != 2 || len(m.Campaigns) < 50 {
		t.Errorf("%d items, %d bytes, %d refused, %d campaigns", len(m.Items), m.Size, refused, len(m.Campaigns))
	}
	if out, err := s.try("l4d2ctl", "overlay", "verify", "7"); err != nil {
		t.Errorf("verify: %v\n%s", err, out)
	}
}
