package steam

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"left4me/hostops/ctl"
)

// itemScript is a steamcmd that does for each item what a test says: ARG is every
// id that it is asked for, C its folder.
func itemScript(body string) string {
	return `
echo "runs $*" >> $DIR/../runs
C0=$DIR/steamapps/workshop/content/550
take=
for ARG in "$@"; do
	if [ "$take" = 550 ]; then
		take=
		C=$C0/$ARG
		echo "Downloading item $ARG ..."
		` + strings.ReplaceAll(strings.TrimSpace(body), "\n", "\n\t\t") + `
	elif [ "$take" = next ]; then take=$ARG
	elif [ "$ARG" = +workshop_download_item ]; then take=next
	fi
done
`
}

// vpkInto writes a VPK's first bytes and some more to the file named by $F.
const vpkInto = `mkdir -p $C && printf '\064\022\252\125\001\000\000\000rest' > $F`

func TestItems(t *testing.T) {
	tests := map[string]struct {
		body  string
		file  string // below the item's folder, when it succeeds
		says  string
		retry bool
		runs  int
	}{
		"legacy file":      {`F=$C/987654_legacy.bin; ` + vpkInto + `; echo "Success. Downloaded item $ARG to \"$C\" (12 bytes)"`, "987654_legacy.bin", "", false, 1},
		"folder":           {`F=$C/some_map.vpk; ` + vpkInto, "some_map.vpk", "", false, 1},
		"file, error":      {`F=$C/x.VPK; ` + vpkInto + `; echo "ERROR! Download item $ARG failed (Timeout)."`, "x.VPK", "", false, 1},
		"false success":    {`echo "Success. Downloaded item $ARG to \"$C\" (12 bytes)"`, "", "brought no VPK", false, 1},
		"no VPK":           {`mkdir -p $C && echo PK > $C/a.vpk; echo "Success. Downloaded item $ARG to \"$C\" (3 bytes)"`, "", "brought no VPK", false, 1},
		"link":             {`mkdir -p $C && ln -s /etc/passwd $C/a.vpk`, "", "brought no VPK", false, 1},
		"failure":          {`echo "ERROR! Download item $ARG failed (Failure)."`, "", "(Failure)", false, 1},
		"access denied":    {`echo "ERROR! Download item $ARG failed (Access Denied)."`, "", "(Access Denied)", false, 1},
		"file not found":   {`echo "ERROR! Download item $ARG failed (File Not Found)."`, "", "(File Not Found)", false, 1},
		"something new":    {`echo "ERROR! Download item $ARG failed (Lunch Break)."`, "", "(Lunch Break)", false, 1},
		"no connection":    {`echo "ERROR! Download item $ARG failed (No Connection)."`, "", "(No Connection)", true, itemTries},
		"timeout":          {`echo "ERROR! Download item $ARG failed (Timeout)."`, "", "(Timeout)", true, itemTries},
		"glued":            {`printf "ERROR! Download item $ARG failed (Timeout).Unloading Steam API...OK"`, "", "(Timeout)", true, itemTries},
		"timeout, then":    {`if [ -e $DIR/again ]; then F=$C/x.vpk; ` + vpkInto + `; else touch $DIR/again; echo "ERROR! Download item $ARG failed (Timeout)."; fi`, "x.vpk", "", false, 2},
		"crash at the end": {`F=$C/x.vpk; ` + vpkInto + `; kill -SEGV $$`, "x.vpk", "", false, 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, itemScript(tt.body))
			files, failed, err := Items(t.Context(), b.Options, []string{"101"})
			if err != nil {
				t.Fatal(err)
			}
			if tt.file != "" {
				if want := filepath.Join(b.Dir, "steamapps/workshop/content/550/101", tt.file); files["101"] != want || len(failed) > 0 {
					t.Errorf("files %v, failed %v; want %s", files, failed, want)
				}
			} else {
				var f *Failure
				if !errors.As(failed["101"], &f) || !strings.Contains(f.Sentence, tt.says) || f.Again != tt.retry || len(files) > 0 {
					t.Errorf("files %v, failed %v; want …%s… (retry %v)", files, failed, tt.says, tt.retry)
				}
			}
			if runs := readFile(t, filepath.Join(b.Dir, "../runs")); strings.Count(runs, "runs") != tt.runs {
				t.Errorf("steamcmd ran so:\n%swant %d runs", runs, tt.runs)
			}
		})
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// What steamcmd remembers of items whose files are gone would make it do nothing.
func TestItemsForgetsStaleRecords(t *testing.T) {
	t.Parallel()
	b := newBench(t, itemScript(`if [ -e $DIR/steamapps/workshop/appworkshop_550.acf ]; then echo "Success. Downloaded item $ARG"; else F=$C/x.vpk; `+vpkInto+`; fi`))
	write(t, filepath.Join(b.Dir, "steamapps/workshop/appworkshop_550.acf"), `"AppWorkshop"{}`)
	write(t, filepath.Join(b.Dir, "steamapps/workshop/content/550/101/old.vpk"), "\x34\x12\xaa\x55 what an earlier run left, and longer")
	files, failed, err := Items(t.Context(), b.Options, []string{"101"})
	if err != nil || filepath.Base(files["101"]) != "x.vpk" {
		t.Errorf("files %v, failed %v, %v", files, failed, err)
	}
}

// One that fails does not keep the others from coming, and all come in one run.
func TestItemsTogether(t *testing.T) {
	t.Parallel()
	b := newBench(t, itemScript(`if [ $ARG = 102 ]; then echo "ERROR! Download item $ARG failed (File Not Found)."; else F=$C/x.vpk; `+vpkInto+`; fi`))
	files, failed, err := Items(t.Context(), b.Options, []string{"101", "102", "103"})
	if err != nil || len(files) != 2 || failed["102"] == nil || len(failed) != 1 {
		t.Errorf("files %v, failed %v, %v", files, failed, err)
	}
	runs := readFile(t, filepath.Join(b.Dir, "../runs"))
	if !strings.Contains(runs, "@ShutdownOnFailedCommand 0") || strings.Index(runs, "+force_install_dir") > strings.Index(runs, "+login anonymous") || strings.Count(runs, "runs") != 1 {
		t.Errorf("steamcmd ran so:\n%s", runs)
	}
}

// With an account, what is not for everybody is asked for once more.
func TestItemsWithAccount(t *testing.T) {
	t.Parallel()
	b := newBench(t, `
echo "$*" >> $DIR/../runs
case "$*" in
*runscript*) cat $2 >> $DIR/../runs; C=$DIR/steamapps/workshop/content/550/102; F=$C/x.vpk; `+vpkInto+` ;;
*) C=$DIR/steamapps/workshop/content/550/101; F=$C/x.vpk; `+vpkInto+`; echo "ERROR! Download item 102 failed (Access Denied)." ;;
esac`)
	if err := SaveLogin(b.Home, Login{User: "gordon", Password: "crowbar-1234"}); err != nil {
		t.Fatal(err)
	}
	files, failed, err := Items(t.Context(), b.Options, []string{"101", "102"})
	if err != nil || len(files) != 2 || len(failed) > 0 {
		t.Errorf("files %v, failed %v, %v", files, failed, err)
	}
	if runs := readFile(t, filepath.Join(b.Dir, "../runs")); strings.Count(runs, "workshop_download_item 550 101") != 1 || strings.Count(runs, "workshop_download_item 550 102") != 2 {
		t.Errorf("steamcmd was told:\n%s", runs)
	}
}

// What concerns the whole run is said once, with its class.
func TestItemsFailTogether(t *testing.T) {
	tests := map[string]struct {
		body  string
		class error
		says  string
	}{
		"no login":  {`echo "Connecting anonymously to Steam Public...FAILED (Rate Limit Exceeded)"; exit 5`, ctl.ErrSteam, "rate limit"},
		"no net":    {`echo "Waiting for user info...FAILED (Timed out)"; exit 1`, ctl.ErrSteamRetry, "did not send"},
		"dies":      {`exit 3`, ctl.ErrSteam, "exit code 3 before it fetched"},
		"not there": {"", ctl.ErrNotInstalled, "steamcmd is not at"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, tt.body)
			if tt.body == "" {
				b.Steamcmd += "x"
			}
			files, _, err := Items(t.Context(), b.Options, []string{"101"})
			if !errors.Is(err, tt.class) || !strings.Contains(err.Error(), tt.says) || len(files) > 0 {
				t.Errorf("files %v, error %v; want %v: …%s…", files, err, tt.class, tt.says)
			}
		})
	}
}
