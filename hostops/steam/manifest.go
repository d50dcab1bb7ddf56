package steam

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"left4me/hostops/ctl"
	"left4me/hostops/keyvalues"
)

// stateInstalled is the bit of StateFlags that says that nothing is missing.
const stateInstalled = 4

// Manifest is what steamcmd remembers of an installed app, as far as we ask.
type Manifest struct {
	StateFlags  int
	BuildID     int64
	SizeOnDisk  int64
	LastUpdated time.Time // zero when unknown
}

// Complete reports whether steamcmd considers the app fully installed: exactly
// that flag, since any other beside it says that an update is due or under way.
func (m Manifest) Complete() bool { return m.StateFlags == stateInstalled }

// Seeded reports whether it is the stub that we wrote, which nothing was
// downloaded for yet.
func (m Manifest) Seeded() bool { return m.BuildID == 0 }

func manifestPath(dir string) string {
	return filepath.Join(dir, "steamapps", fmt.Sprintf("appmanifest_%d.acf", AppID))
}

// ReadManifest reads the app's manifest from an install directory. Without one
// the error is fs.ErrNotExist.
func ReadManifest(dir string) (Manifest, error) {
	f, err := os.Open(manifestPath(dir))
	if err != nil {
		return Manifest{}, fmt.Errorf("read Steam's manifest: %w", err)
	}
	defer f.Close() // read only; nothing can be lost
	root, err := keyvalues.Parse(f)
	if err != nil {
		return Manifest{}, fmt.Errorf("read Steam's manifest: %w", err)
	}
	number := func(key string) int64 {
		n, _ := strconv.ParseInt(root.Get("AppState", key).Value(), 10, 64) // absent or odd is 0: unknown
		return n
	}
	m := Manifest{
		StateFlags: int(number("StateFlags")),
		BuildID:    number("buildid"),
		SizeOnDisk: number("SizeOnDisk"),
	}
	if at := number("LastUpdated"); at > 0 {
		m.LastUpdated = time.Unix(at, 0).UTC()
	}
	return m, nil
}

// neededFiles must exist before a game may be started from an install directory.
var neededFiles = []string{"srcds_linux", "left4dead2/steam.inf"}

// Installed is nil when dir holds a complete game that nobody is changing.
// Otherwise the error is ctl.ErrNotInstalled with a sentence that says what is
// missing.
func Installed(dir string) error {
	if Changing(dir) { // before the manifest says so, too
		return notInstalled("the game is being installed or updated at this moment: wait until that is done")
	}
	return complete(dir)
}

// complete is Installed for whoever is changing it.
func complete(dir string) error {
	m, err := ReadManifest(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return notInstalled("the game is not installed yet: run l4d2ctl install")
	case err != nil:
		return notInstalled("Steam's record of the installation cannot be read (%v): run l4d2ctl install", err)
	case m.Seeded():
		return notInstalled("the game is not installed yet: run l4d2ctl install")
	case !m.Complete():
		return notInstalled("the installation of the game is not complete (Steam's state flags are %d): run l4d2ctl install", m.StateFlags)
	}
	if missing := missingFile(dir); missing != "" {
		return notInstalled("the installation lacks %s: run l4d2ctl install", missing)
	}
	return nil
}

func missingFile(dir string) string {
	for _, name := range neededFiles {
		info, err := os.Lstat(filepath.Join(dir, name))
		if err != nil || !info.Mode().IsRegular() {
			return name
		}
	}
	return ""
}

func notInstalled(format string, args ...any) error {
	return &Failure{Sentence: fmt.Sprintf(format, args...), Class: ctl.ErrNotInstalled}
}

// stubManifest makes steamcmd take the app as already configured, so that it
// fetches the Linux files without an owner's login. Seen to work since the app
// left the anonymous package in November 2024.
const stubManifest = `"AppState"
{
	"appid"		"222860"
	"Universe"		"1"
	"name"		"Left 4 Dead 2 Dedicated Server"
	"StateFlags"		"2"
	"installdir"		"Left 4 Dead 2 Dedicated Server"
	"LastUpdated"		"0"
	"SizeOnDisk"		"0"
	"buildid"		"0"
	"InstalledDepots"
	{
	}
}
`

// seedManifest writes the stub where no manifest is. A manifest is never
// replaced: steamcmd's own says what is there.
func seedManifest(dir string) error {
	f, err := os.OpenFile(manifestPath(dir), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("seed Steam's manifest: %w", err)
	}
	_, err = f.WriteString(stubManifest)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("seed Steam's manifest: %w", err)
	}
	return nil
}
