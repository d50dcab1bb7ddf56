package steam

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"left4me/hostops/ctl"
)

// described is a steamcmd's output around a description, as it comes.
const described = `
echo run >> $HOME/runs
echo 'Connecting anonymously to Steam Public...OK'
echo 'Waiting for user info...OK'
echo 'app_info_print 222860'
`

const tree = `cat <<'END'
AppID : 222860, change number : 31415926/0, last change : Wed Jul 1 12:00:00 2026
"222860"
{
	"common"
	{
		"name"		"Left 4 Dead 2 Dedicated Server"
	}
	"depots"
	{
		"branches"
		{
			"public"
			{
				"buildid"		"19000001"
				"timeupdated"		"1782907200"
			}
			"beta"
			{
				"buildid"		"20000000"
			}
		}
	}
}
Unloading Steam API...OK
END
`

func TestLatestBuild(t *testing.T) {
	late := "if [ $(wc -l < $HOME/runs) -ge 3 ]; then " + tree + "fi"
	tests := map[string]struct {
		body string
		runs int
		code int
		want string // the build, or of the sentence
	}{
		"at once":            {tree, 1, 0, "19000001"},
		"the third time":     {late, 3, 0, "19000001"},
		"twice in one":       {strings.ReplaceAll(tree, "19000001", "18") + tree, 1, 0, "19000001"},
		"never":              {"echo 'No app info for AppID 222860 found, requesting...'", 3, 78, "sent no description of the game in 3 tries"},
		"cut off":            {"printf '\"222860\"\\n{\\n\"depots\"\\n{\\n'", 3, 78, "sent no description"},
		"damaged":            {"printf '\"222860\"\\n{\\n\"depots\" {\\n}\\n'", 3, 78, "sent no description"},
		"no branches":        {"printf '\"222860\"\\n{\\n}\\n'", 1, 76, "names no public build"},
		"another app":        {"printf '\"90\"\\n{\\n}\\n'", 3, 78, "sent no description"},
		"a refused login":    {"echo 'Connecting anonymously to Steam Public...FAILED (No Connection)'; exit 5", 1, 5, "did not answer the login"},
		"nothing but a code": {"exit 7", 1, 7, "exit code 7"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, described+tt.body)
			cache := filepath.Join(b.Home, "Steam", "appcache", "appinfo.vdf")
			write(t, cache, "stale")
			build, err := LatestBuild(t.Context(), b.Options)
			if ctl.ExitCode(err) != tt.code || (err == nil && (build != tt.want || Recall(b.Home).Latest != tt.want)) || (err != nil && !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%q, code %d: %v; want %d, %q", build, ctl.ExitCode(err), err, tt.code, tt.want)
			}
			runs, readErr := os.ReadFile(filepath.Join(b.Home, "runs"))
			if got := strings.Count(string(runs), "run"); readErr != nil || got != tt.runs {
				t.Errorf("%d runs, want %d (%v)", got, tt.runs, readErr)
			}
			if _, statErr := os.Stat(cache); (statErr == nil) != (err != nil) {
				t.Errorf("the old cache: %v after %v; a failure brings it back, success does not", statErr, err)
			}
			if said := b.lines(ctl.StreamOut); err == nil && (slices.ContainsFunc(said, func(l string) bool { return strings.Contains(l, "buildid") }) || !slices.Contains(said, "Waiting for user info...OK")) {
				t.Errorf("the log is to hold the session and not the tree: %q", said)
			}
		})
	}
}

func TestLatestBuildLeavesTheGameAlone(t *testing.T) {
	b := newBench(t, described+tree)
	if _, err := LatestBuild(t.Context(), b.Options); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(b.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the installation was touched: %v", err)
	}
}
