package steam

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"left4me/hostops/ctl"
)

// hopeless is so little room that steamcmd itself could not work.
const hopeless = 4 << 20

// spaceNotice warns when the disk will probably not hold what is still to come.
// It does not refuse: how much is to come only steamcmd knows, and it says so.
func (o Options) spaceNotice() string {
	expected := int64(windowsPassBytes + linuxPassBytes)
	if m, err := ReadManifest(o.Dir); err == nil && !m.Seeded() {
		expected = max(expected-m.SizeOnDisk, linuxPassBytes)
	}
	free, err := o.free(o.Dir)
	if err != nil || free >= expected {
		return ""
	}
	return fmt.Sprintf("the disk that holds %s has %s free, and about %s are still to come: it will probably not be enough", o.Dir, Bytes(free), Bytes(expected))
}

// guardEvery is how often the room is looked at while bytes come in.
const guardEvery = 15 * time.Second

// spaceGuard ends a run whose bytes the disk cannot hold as soon as steamcmd has
// said how many they are, since it would go on for an hour and fail then.
type spaceGuard struct {
	o     Options
	stop  func(error)
	phase string
	seen  time.Time
}

// look is called with the total of the phase under way.
func (g *spaceGuard) look(phase string, total int64) {
	if phase == g.phase && time.Since(g.seen) < guardEvery {
		return
	}
	g.phase, g.seen = phase, time.Now()
	// What steamcmd has set aside already is missing from the free space, and may
	// be all of it while its progress still stands at zero.
	need := total - allocated(filepath.Join(g.o.Dir, "steamapps", "downloading", fmt.Sprint(AppID)))
	free, err := g.o.free(g.o.Dir)
	if err != nil || need <= free {
		return
	}
	g.stop(&Failure{Class: ctl.ErrDiskFull, Kind: ClassDiskFull, Sentence: tooSmall(g.o.Dir, need, free)})
}

// allocated is how many bytes the files below dir take from the disk.
func allocated(dir string) int64 {
	var sum int64
	// steamcmd works there at the same time: what vanishes takes no room.
	_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return nil
		}
		if info, err := e.Info(); err == nil {
			if st, ok := info.Sys().(*syscall.Stat_t); ok {
				sum += st.Blocks * 512
			}
		}
		return nil
	})
	return sum
}

func tooSmall(dir string, needed, free int64) string {
	return fmt.Sprintf("The disk that holds %s is too small for the game: about %s more are needed, and %s are free. Make room and install again; what is already there is kept.",
		dir, Bytes(needed), Bytes(free))
}

// diskSentence explains a full disk that Steam reported. Steam says so for
// other reasons too; then the figures would contradict it.
func (o Options) diskSentence(needed int64) string {
	free, err := o.free(o.Dir)
	switch {
	case err != nil:
		return fmt.Sprintf("Steam says that the disk that holds %s is too small for the game: about %s more are needed.", o.Dir, Bytes(needed))
	case free < needed:
		return tooSmall(o.Dir, needed, free)
	}
	what := fmt.Sprintf("Check whether user %d has a quota there (quota -s), and whether the disk takes large files", os.Geteuid())
	if files, err := freeFiles(o.Dir); err == nil && files == 0 {
		what = "The disk has no room for one more file (df -i shows it): remove some that are not needed"
	} else if home, err := o.free(o.Home); err == nil && home < free {
		what = fmt.Sprintf("Check the disk that holds Steam's own folder %s (%s free), and whether user %d has a quota (quota -s)", o.Home, Bytes(home), os.Geteuid())
	}
	return fmt.Sprintf("Steam reports a full disk, although %s are free where the game goes (%s) and about %s are still to come. %s; then install again.",
		Bytes(free), o.Dir, Bytes(needed), what)
}

// freeFiles is how many more files the file system can hold. One that has no
// such limit is an error.
func freeFiles(path string) (uint64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return 0, fmt.Errorf("free files of %s: %w", path, err)
	}
	if st.Files == 0 {
		return 0, fmt.Errorf("free files of %s: it has no limit", path)
	}
	return st.Ffree, nil
}
