package steam

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"left4me/hostops/ctl"
)

// linkSDK makes home/.steam/sdk32/steamclient.so, which the game loads and
// without which it crashes at every start. Where steamcmd lies below home it is
// a relative link, so that an update of steamcmd is followed; elsewhere it is a
// copy, because the game sees nothing of the host but our own folders.
func linkSDK(home, steamcmd, game string) error {
	source := findSteamclient(home, steamcmd, game)
	if source == "" {
		return &Failure{
			Class:    ctl.ErrSteam,
			Sentence: "steamcmd brought no steamclient.so, without which the game cannot start: install again so that steamcmd updates itself",
		}
	}
	dir := filepath.Join(home, ".steam", "sdk32")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make %s: %w", dir, err)
	}
	link := filepath.Join(dir, "steamclient.so")
	if relative, err := filepath.Rel(dir, source); err == nil && below(home, source) {
		return replaceLink(relative, link)
	}
	return replaceCopy(source, link)
}

func findSteamclient(home, steamcmd, game string) string {
	for _, path := range []string{
		filepath.Join(filepath.Dir(realPath(steamcmd)), "linux32", "steamclient.so"),
		filepath.Join(home, "linux32", "steamclient.so"),
		filepath.Join(home, "Steam", "linux32", "steamclient.so"),
		filepath.Join(home, ".local", "share", "Steam", "steamcmd", "linux32", "steamclient.so"),
		filepath.Join(game, "bin", "steamclient.so"),
	} {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path
		}
	}
	return ""
}

// below reports whether path is in home/linux32, the one folder beside .steam
// that the game is shown.
func below(home, path string) bool {
	return strings.HasPrefix(path, filepath.Join(home, "linux32")+string(filepath.Separator))
}

func replaceLink(target, link string) error {
	if current, err := os.Readlink(link); err == nil && current == target {
		return nil
	}
	temp := link + ".new"
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("link steamclient.so: %w", err)
	}
	if err := os.Symlink(target, temp); err != nil {
		return fmt.Errorf("link steamclient.so: %w", err)
	}
	if err := os.Rename(temp, link); err != nil {
		return fmt.Errorf("link steamclient.so: %w", err)
	}
	return nil
}

func replaceCopy(source, target string) error {
	in, err := os.Open(source)
	if err != nil {
		return fmt.Errorf("copy steamclient.so: %w", err)
	}
	defer in.Close() // read only; nothing can be lost
	out, err := os.CreateTemp(filepath.Dir(target), ".new-*")
	if err != nil {
		return fmt.Errorf("copy steamclient.so: %w", err)
	}
	_, err = io.Copy(out, in)
	if err == nil {
		err = out.Chmod(0o755)
	}
	if closeErr := out.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(out.Name(), target)
	}
	if err != nil {
		_ = os.Remove(out.Name()) // the first error matters more
		return fmt.Errorf("copy steamclient.so: %w", err)
	}
	return nil
}
