package e2e

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"left4me/internal/testenv"
)

// processFile is the words of a file of each process, such as cmdline.
func processFile(t testing.TB, name string) [][]string {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var all [][]string
	for _, path := range paths {
		if b, err := os.ReadFile(path); err == nil { // others have gone, or are not ours
			all = append(all, strings.Split(strings.TrimSuffix(string(b), "\x00"), "\x00"))
		}
	}
	return all
}

// simulatedSteamRuns says whether a steamsim serves this site's demo.
func (s *site) simulatedSteamRuns() bool {
	s.t.Helper()
	return slices.ContainsFunc(processFile(s.t, "cmdline"), func(words []string) bool {
		return slices.Contains(words, "serve") && slices.Contains(words, s.control)
	})
}

// steamAPI is the address of the Web API that this site's l4d2ctl is told.
func (s *site) steamAPI() string {
	s.t.Helper()
	for _, env := range processFile(s.t, "environ") {
		if !slices.Contains(env, "LEFT4ME_ROOT="+s.data) {
			continue
		}
		for _, word := range env {
			if address, ok := strings.CutPrefix(word, "LEFT4ME_STEAM_API="); ok {
				return address
			}
		}
	}
	return ""
}

// The demo's Steam serves a workshop, and ends with left4me even when that is
// killed.
func TestDemoHasAWorkshopThatEndsWithIt(t *testing.T) {
	s := newSite(t, true)
	address := freeAddress(t)
	s.base = "http://" + address
	up := s.start("up", "--demo", "--data", s.data, "--listen", address)
	s.ready()
	if !strings.Contains(s.output.String(), "3200000100") {
		t.Errorf("the greeting names no items:\n%s", s.output)
	}
	if !s.simulatedSteamRuns() {
		t.Fatal("no simulated Steam runs")
	}
	testenv.Eventually(t, 20*time.Second, "l4d2ctl with the simulated address", func() bool { return s.steamAPI() != "" })
	resp, err := http.PostForm(s.steamAPI()+"/ISteamRemoteStorage/GetPublishedFileDetails/v1/", url.Values{"itemcount": {"1"}, "publishedfileids[0]": {"3100000001"}})
	if err != nil {
		t.Fatal(err)
	}
	if status, body := s.body(resp); status != http.StatusOK || !strings.Contains(body, `"title":"Rust Harbor"`) {
		t.Errorf("status %d: %s", status, body)
	}
	if err := up.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, 20*time.Second, "the simulated Steam's end", func() bool { return !s.simulatedSteamRuns() })
}
