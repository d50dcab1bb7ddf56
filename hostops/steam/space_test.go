package steam

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"left4me/hostops/ctl"
)

// downloads is a steamcmd that downloads 4 MB, unless somebody ends it.
const downloads = `
echo '"@sSteamCmdForcePlatformType" = "linux"'
echo ' Update state (0x11) preallocating, progress: 0.00 (0 / 4194304)'
echo ' Update state (0x61) downloading, progress: 0.00 (0 / 4194304)'
test -e $HOME/goes-on || sleep 1000
`

func TestInstallStopsWhenTheDiskCannotHoldIt(t *testing.T) {
	tests := map[string]struct {
		free, allocated int64
		stops           bool
		need            string
	}{
		"too little":                    {4<<20 - 1, 0, true, "about 4.2 MB more are needed, and 4.2 MB are free"},
		"just enough":                   {4 << 20, 0, false, ""},
		"most is set aside already":     {1 << 20, 3 << 20, false, ""},
		"some is set aside, not enough": {1<<20 - 1, 3 << 20, true, "about 1.0 MB more are needed, and 1.0 MB are free"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, downloads+installs)
			asked := 0
			b.free = func(path string) (int64, error) {
				if asked++; asked <= 2 { // the looks before steamcmd runs
					return 1 << 40, nil
				}
				return tt.free, nil
			}
			if !tt.stops {
				write(t, filepath.Join(b.Home, "goes-on"), "")
			}
			if tt.allocated > 0 {
				allocate(t, filepath.Join(b.Dir, "steamapps", "downloading", "222860", "left4dead2", "pak01.vpk"), tt.allocated)
			}
			_, err := Install(t.Context(), b.Options)
			if !tt.stops {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var f *Failure
			if !errors.As(err, &f) || f.Retry() || ctl.ExitCode(err) != 73 || !strings.Contains(err.Error(), "is too small for the game: "+tt.need) {
				t.Errorf("code %d: %v", ctl.ExitCode(err), err)
			}
		})
	}
}

// allocate makes a file that takes n bytes of the disk.
func allocate(t *testing.T, path string, n int64) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() // its size is all that matters
	if err := unix.Fallocate(int(f.Fd()), 0, 0, n); errors.Is(err, unix.EOPNOTSUPP) {
		_, err = f.Write([]byte(strings.Repeat("x", int(n))))
		if err != nil {
			t.Fatal(err)
		}
	} else if err != nil {
		t.Fatal(err)
	}
}

func TestAFullDiskThatIsNotFull(t *testing.T) {
	for name, tt := range map[string]struct {
		dir, home int64
		want      string
	}{
		"a quota perhaps":      {81e9, 90e9, "Steam reports a full disk, although 81.0 GB are free where the game goes"},
		"Steam's own is small": {81e9, 1e6, "Check the disk that holds Steam's own folder /steam (1.0 MB free)"},
		"full indeed":          {5e9, 90e9, "The disk that holds /game is too small for the game: about 5.9 GB more are needed, and 5.0 GB are free"},
	} {
		o := Options{Dir: "/game", Home: "/steam", free: func(path string) (int64, error) {
			return map[string]int64{"/game": tt.dir, "/steam": tt.home}[path], nil
		}}
		got := o.diskSentence(5_900_000_000)
		if !strings.Contains(got, tt.want) || (tt.dir > 6e9 && (strings.Contains(got, "too small") || !strings.Contains(got, "quota"))) {
			t.Errorf("%s: %s", name, got)
		}
	}
}
